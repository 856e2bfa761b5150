//! What a client asks an agent for (Part 1, 7).

use std::time::Duration;

/// A request that makes sense.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) what: What,
    /// The name or uuid of the device; `None`: all.
    pub(super) device: Option<String>,
    pub(super) from: u64,
    pub(super) count: u64,
    /// Where a stream is asked for: how often, and how long it may be silent.
    pub(super) stream: Option<(Duration, Duration)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Probe,
    Current,
    Sample,
}

/// Why a request makes no sense: the agent's code for it, and a text.
pub(super) type Refused = (&'static str, String);

/// Between two documents of a silent stream, unless asked otherwise.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Observations of one document, unless asked otherwise.
const COUNT: u64 = 100;

impl Request {
    /// Reads the target of a GET.
    pub(super) fn parse(target: &str) -> Result<Self, Refused> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
        let (device, what) = match steps.as_slice() {
            [] => (None, What::Probe),
            [one] => match what(one) {
                Some(what) => (None, what),
                None => (Some(*one), What::Probe),
            },
            [device, last] => match what(last) {
                Some(what) => (Some(*device), what),
                None => return Err(("INVALID_URI", format!("there is no {path}"))),
            },
            _ => return Err(("INVALID_URI", format!("there is no {path}"))),
        };
        let mut request =
            Self { what, device: device.map(decoded), from: 0, count: COUNT, stream: None };
        let (mut interval, mut heartbeat) = (None, HEARTBEAT);
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let number = || {
                value.parse::<u64>().map_err(|_| {
                    ("INVALID_REQUEST", format!("'{name}' must be a whole number, it is {value}"))
                })
            };
            match name {
                "from" => request.from = number()?,
                "count" => request.count = number()?,
                "interval" => interval = Some(Duration::from_millis(number()?)),
                "heartbeat" => heartbeat = Duration::from_millis(number()?.max(1)),
                _ => {
                    let text = format!("this simulated agent does not know '{name}'");
                    return Err(("UNSUPPORTED", text));
                }
            }
        }
        if interval.is_some() && what != What::Sample {
            return Err(("UNSUPPORTED", "this simulated agent streams samples only".into()));
        }
        request.stream = interval.map(|interval| (interval, heartbeat));
        Ok(request)
    }
}

fn what(step: &str) -> Option<What> {
    match step {
        "probe" => Some(What::Probe),
        "current" => Some(What::Current),
        "sample" => Some(What::Sample),
        _ => None,
    }
}

/// Undoes percent encoding; what is malformed stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |byte: &u8| char::from(*byte).to_digit(16);
        if let (b'%', [high, low, after @ ..]) = (first, tail)
            && let (Some(high), Some(low)) = (hex(high), hex(low))
        {
            bytes.push((high * 16 + low) as u8);
            rest = after;
            continue;
        }
        bytes.push(*first);
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
