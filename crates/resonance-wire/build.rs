//! Makes the messages of the Open Inference Protocol over gRPC out of their description.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/open_inference.proto");
    let described = protox::compile(["open_inference.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(false)
        .bytes(".")
        .btree_map(".")
        .compile_fds(described)?;
    Ok(())
}
