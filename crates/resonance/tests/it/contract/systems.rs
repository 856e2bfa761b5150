//! Systems that take results: MES and brokers, ours and foreign.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use resonance_gateway::plan::SinkKind;
use resonance_gateway::sinks::http::HttpConfig;
use resonance_gateway::sinks::mqtt::MqttConfig;
use resonance_gateway::sinks::payload::{Acknowledge, Format};
use resonance_simulate::mes::HttpMes;
use resonance_simulate::mutants::FaultyProxy;
use serde_json::{Value, json};

use crate::mqtt::broker::Broker;
use crate::mqtt::subscriber::Subscriber;
use crate::peers::Teller;

/// How a system takes results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records over HTTP, so many in a request.
    Http(u16),
    /// B2MML over HTTP, confirmed by the application.
    HttpB2mml,
    /// Records through a broker.
    Mqtt,
    /// B2MML through a broker, confirmed by the application.
    MqttB2mml,
}

/// A system that runs.
pub(super) enum System {
    /// Each was the system for some time.
    Http(Vec<HttpMes>),
    Mqtt {
        broker: Broker,
        subscriber: Subscriber,
    },
    MqttB2mml {
        broker: Broker,
        mes: Teller,
    },
}

impl Kind {
    /// Starts one; `None` where a foreign program is absent.
    pub(super) async fn start(self, test: &str) -> Option<System> {
        Some(match self {
            Self::Http(_) | Self::HttpB2mml => System::Http(vec![http().await]),
            Self::Mqtt => {
                let broker = Broker::plain(test)?;
                let subscriber = Subscriber::start(test, broker.port)?;
                System::Mqtt { broker, subscriber }
            }
            Self::MqttB2mml => {
                let broker = Broker::plain(test)?;
                let options = json!({"host": "127.0.0.1", "port": broker.port});
                let mes = Teller::start(test, "mqtt_mes.py", &options)?;
                System::MqttB2mml { broker, mes }
            }
        })
    }

    /// A sink for the system at this address, for impatient tests.
    pub(super) fn sink(self, addr: SocketAddr) -> SinkKind {
        let http = HttpConfig {
            timeout_ms: 1_000,
            backoff_ms_max: 200,
            ..HttpConfig::for_url(format!("http://{addr}/results"))
        };
        let mqtt =
            MqttConfig { backoff_ms_max: 200, ..MqttConfig::for_broker(format!("mqtt://{addr}")) };
        match self {
            Self::Http(batch_max) => SinkKind::Http(HttpConfig { batch_max, ..http }),
            Self::HttpB2mml => SinkKind::Http(HttpConfig {
                format: Format::B2mmlXml,
                acknowledge: Acknowledge::ConfirmBod,
                ..http
            }),
            Self::Mqtt => SinkKind::Mqtt(mqtt),
            Self::MqttB2mml => SinkKind::Mqtt(MqttConfig {
                topic: "plant/{asset}".into(),
                format: Format::B2mmlJson,
                acknowledge: Acknowledge::ConfirmBod,
                confirm_ms_max: 1_000,
                ..mqtt
            }),
        }
    }

    /// Whether the sink itself notices within a second or so that nothing passes any more. Else
    /// it waits for the broker's word longer than a test would.
    pub(super) fn is_impatient(self) -> bool {
        self != Self::Mqtt
    }
}

async fn http() -> HttpMes {
    HttpMes::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap()
}

impl System {
    pub(super) fn addr(&self) -> SocketAddr {
        match self {
            Self::Http(each) => {
                let url = each.last().expect("there is one").url();
                let addr = url.trim_start_matches("http://").trim_end_matches("/results");
                addr.parse().unwrap()
            }
            Self::Mqtt { broker, .. } | Self::MqttB2mml { broker, .. } => {
                SocketAddr::from(([127, 0, 0, 1], broker.port))
            }
        }
    }

    /// It ends in good order and starts anew.
    pub(super) async fn restart(&mut self, proxy: &FaultyProxy) {
        match self {
            Self::Http(each) => {
                each.last().expect("there is one").stop().await;
                each.push(http().await);
            }
            Self::Mqtt { broker, .. } | Self::MqttB2mml { broker, .. } => {
                broker.stop();
                broker.start_again();
            }
        }
        proxy.redirect(self.addr());
    }

    /// The ids of what it took, in the order in which they came first, once this many came.
    pub(super) fn taken(&self, count: usize) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        let mut known = std::collections::HashSet::new();
        let mut take = |ids: &mut Vec<String>, id: &Value| {
            let id = id.as_str().expect("ids are texts").to_owned();
            if known.insert(id.clone()) {
                ids.push(id);
            }
        };
        match self {
            Self::Http(each) => {
                each.iter()
                    .flat_map(HttpMes::taken)
                    .for_each(|id| take(&mut ids, &Value::from(id)));
            }
            Self::Mqtt { subscriber, .. } => {
                let mut seen = std::collections::HashSet::new();
                let messages = subscriber.until(Duration::from_secs(20), |all| {
                    seen.extend(all.last().map(|last| last["payload"]["id"].to_string()));
                    seen.len() >= count
                });
                messages.iter().for_each(|message| take(&mut ids, &message["payload"]["id"]));
            }
            Self::MqttB2mml { mes, .. } => {
                let deadline = Instant::now() + Duration::from_secs(20);
                while ids.len() < count {
                    let left = deadline.saturating_duration_since(Instant::now());
                    let Ok(line) = mes.within(left) else { break };
                    let Some(all) = line["ids"].as_array() else { continue };
                    all.iter().for_each(|id| take(&mut ids, id));
                }
            }
        }
        ids
    }
}
