use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

/// A server that sends back what it hears.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    addr
}

/// Not OPC UA from the first byte on, so that chunks do not matter.
const TEXT: &[u8] = b"hello, this is plain text";

async fn exchange(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    client.write_all(TEXT).await?;
    let mut answer = vec![0; TEXT.len()];
    let read = tokio::time::timeout(DEADLINE, client.read_exact(&mut answer)).await;
    read.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(answer)
}

#[tokio::test]
async fn a_cut_resets_open_connections_and_admits_new_ones() {
    let proxy = FaultyProxy::start(echo().await).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(exchange(&mut client).await.unwrap(), TEXT);
    proxy.cut().await;
    assert_eq!(proxy.traffic().open, 0);
    assert!(exchange(&mut client).await.is_err());
    let mut again = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(exchange(&mut again).await.unwrap(), TEXT);
    assert_eq!(proxy.traffic().accepted, 2);
}

#[tokio::test]
async fn a_stall_holds_bytes_and_resume_delivers_them() {
    let proxy = FaultyProxy::start(echo().await).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(exchange(&mut client).await.unwrap(), TEXT);
    proxy.stall();
    client.write_all(TEXT).await.unwrap();
    let mut answer = vec![0; TEXT.len()];
    let wait = Duration::from_millis(30);
    assert!(tokio::time::timeout(wait, client.read_exact(&mut answer)).await.is_err());
    assert_eq!(proxy.traffic().bytes_up, TEXT.len() as u64);
    proxy.resume();
    tokio::time::timeout(DEADLINE, client.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, TEXT);
}

#[tokio::test]
async fn a_budget_ends_mid_message_once() {
    let proxy = FaultyProxy::start(echo().await).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    proxy.cut_after_bytes(7);
    client.write_all(TEXT).await.unwrap();
    let mut got = Vec::new();
    tokio::time::timeout(DEADLINE, client.read_to_end(&mut got)).await.unwrap().unwrap();
    assert_eq!(got, &TEXT[..7]);
    let mut again = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(exchange(&mut again).await.unwrap(), TEXT);
}

#[tokio::test]
async fn a_swallowing_proxy_keeps_the_connection() {
    let proxy = FaultyProxy::start(echo().await).await.unwrap();
    proxy.swallow_after_bytes(7);
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    client.write_all(TEXT).await.unwrap();
    proxy.await_traffic(|traffic| traffic.bytes_down == 7).await;
    let mut got = vec![0; TEXT.len()];
    let wait = Duration::from_millis(30);
    assert!(tokio::time::timeout(wait, client.read_exact(&mut got)).await.is_err());
    assert_eq!(proxy.traffic().open, 1);
}

#[tokio::test]
async fn refusing_ends_with_resume_and_redirection_finds_the_new_server() {
    let proxy = FaultyProxy::start(echo().await).await.unwrap();
    proxy.refuse().await;
    let refused = async { exchange(&mut TcpStream::connect(proxy.addr()).await?).await };
    assert!(refused.await.is_err());
    proxy.redirect(echo().await);
    proxy.resume();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(exchange(&mut client).await.unwrap(), TEXT);
}

#[tokio::test]
async fn a_delay_is_paid_in_both_directions() {
    let proxy = FaultyProxy::start(echo().await).await.unwrap();
    proxy.delay(Duration::from_millis(20));
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    let before = std::time::Instant::now();
    assert_eq!(exchange(&mut client).await.unwrap(), TEXT);
    assert!(before.elapsed() >= Duration::from_millis(40));
}

#[tokio::test]
async fn garbage_takes_the_place_of_so_many_bytes() {
    let proxy = FaultyProxy::start(echo().await).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(exchange(&mut client).await.unwrap(), TEXT);
    proxy.garble(5);
    let answer = exchange(&mut client).await.unwrap();
    assert_eq!(answer, [&[0xFF; 5], &TEXT[5..]].concat());
    assert_eq!(exchange(&mut client).await.unwrap(), TEXT);
}
