//! The plant file of a proposal, with its reasons as comments.

use std::fmt::Write as _;

use resonance_gateway::sources::mtconnect::MtconnectConfig;
use resonance_gateway::sources::opcua::config::{OpcUaConfig, SecurityMode, SecurityPolicy};
use resonance_plant::{DataType, Interpolation};
use toml::Value;

use super::{Asset, Point, Proposal};

/// How a machine is reached.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// By its MTConnect agent.
    Mtconnect(MtconnectConfig),
    /// By its OPC UA server.
    Opcua(OpcUaConfig),
}

impl Way {
    /// The machine's address.
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Mtconnect(config) => &config.url,
            Self::Opcua(config) => &config.url,
        }
    }
}

/// How the machine was reached; a run reaches it so, too.
pub(crate) struct Connection<'c> {
    pub(crate) way: &'c Way,
    /// Nodes that were looked at.
    pub(crate) nodes: usize,
    /// When, for people.
    pub(crate) at: String,
}

/// The source's id in the file.
const SOURCE: &str = "machine";

/// A plant file that runs as it is.
pub(crate) fn plant_file(proposal: &Proposal, connection: &Connection<'_>) -> String {
    let mut text = String::new();
    let Connection { way, nodes, at } = connection;
    let points: usize = proposal.assets.iter().map(|asset| asset.points.len()).sum();
    let meant = proposal.assets.iter().flat_map(|asset| &asset.points);
    let meant = meant.filter(|point| point.semantic_id.is_some()).count();
    // Writing to a String does not fail.
    let what = match nodes {
        0 => format!("A list of {points} tags for {}, on {at}.", way.url()),
        _ => format!(
            "What {} said about itself on {at}: {points} points found among {nodes} nodes.",
            way.url()
        ),
    };
    let _ = write!(
        text,
        "# {what}\n\
         # {meant} of them have a semantic id, which models ask for; lines `#semantic_id` are \
         candidates by name\n# and unit: take the `#` away from the one that is right.\n\
         #   resonance plant check THIS_FILE\n#   resonance run THIS_FILE --watch\n\n"
    );
    text += "[[source]]\n";
    key(&mut text, "id", SOURCE);
    match way {
        Way::Mtconnect(config) => mtconnect(&mut text, config),
        Way::Opcua(config) => opcua(&mut text, config),
    }
    for asset in &proposal.assets {
        self::asset(&mut text, asset);
    }
    for deployment in &proposal.deployments {
        text += "\n[[deployment]]\n";
        key(&mut text, "id", deployment.id.as_str());
        key(&mut text, "model", deployment.model.as_str());
        key(&mut text, "asset", deployment.asset.as_str());
    }
    text += "\n# Who may read and operate: this machine only; see `resonance plant example`.\n\
             [server.opcua]\nlisten = \"127.0.0.1:4841\"\nallow_anonymous = true\n\n\
             [server.http]\nlisten = \"127.0.0.1:8080\"\nanonymous = \"operate\"\n";
    if !proposal.left_out.is_empty() {
        text += "\n# Variables that became no point:\n";
        for left in &proposal.left_out {
            let _ = writeln!(text, "#   {}: {}", line(&left.browse_path), line(&left.why));
        }
    }
    text
}

fn mtconnect(text: &mut String, config: &MtconnectConfig) {
    key(text, "type", "mtconnect");
    key(text, "url", config.url.as_str());
    let password = config.password.as_ref().map(|password| &password.0);
    let texts = [
        ("device", config.device.as_ref()),
        ("ca_file", config.ca_file.as_ref()),
        ("user", config.user.as_ref()),
        ("password", password),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            key(text, name, value.as_str());
        }
    }
}

fn opcua(text: &mut String, config: &OpcUaConfig) {
    key(text, "type", "opcua");
    key(text, "url", config.url.as_str());
    if let Some(listen) = config.listen {
        key(text, "listen", listen.to_string());
    }
    if config.security_policy != SecurityPolicy::default() {
        serialized(text, "security_policy", &config.security_policy);
    }
    if config.security_mode != SecurityMode::default() {
        serialized(text, "security_mode", &config.security_mode);
    }
    if config.allow_weak_security {
        key(text, "allow_weak_security", true);
    }
    if let Some(user) = &config.user {
        key(text, "user", user.as_str());
    }
    if let Some(password) = &config.password {
        key(text, "password", password.0.as_str());
    }
    if let Some(fingerprint) = &config.server_fingerprint {
        key(text, "server_fingerprint", fingerprint.as_str());
    }
    if config.trust_any_certificate {
        key(text, "trust_any_certificate", true);
    }
}

fn asset(text: &mut String, asset: &Asset) {
    *text += "\n[[asset]]\n";
    key(text, "id", asset.id.as_str());
    match asset.class {
        Some(class) => {
            let _ = writeln!(text, "# {}", line(&asset.class_reason));
            serialized(text, "class", &class);
        }
        None => {
            let _ = writeln!(text, "# no class: {}", line(&asset.class_reason));
        }
    }
    key(text, "description", asset.description.as_str());
    key(text, "source", SOURCE);
    for point in &asset.points {
        self::point(text, point);
    }
}

fn point(text: &mut String, point: &Point) {
    *text += "\n";
    if !point.browse_path.is_empty() {
        let _ = writeln!(text, "# {}", line(&point.browse_path));
    }
    *text += "[[asset.point]]\n";
    key(text, "name", point.name.as_str());
    serialized(text, "type", &point.data_type);
    if let Some(quantity) = &point.quantity {
        serialized(text, "quantity", quantity);
    }
    if let Some(unit) = point.unit {
        key(text, "unit", unit.code());
    }
    if let Some(range) = point.range {
        let range = vec![Value::Float(range.low), Value::Float(range.high)];
        key(text, "range", range);
    }
    let is_text = matches!(point.data_type, DataType::String | DataType::Bytes);
    if point.interpolation != Interpolation::Step && !is_text {
        serialized(text, "interpolation", &point.interpolation);
    }
    if !point.labels.is_empty() {
        let labels: Vec<Value> = point.labels.iter().map(|label| label.as_str().into()).collect();
        key(text, "labels", labels);
    }
    match &point.semantic_id {
        Some(id) => {
            let _ = writeln!(text, "# {}", line(&point.reason));
            key(text, "semantic_id", id.as_str());
            if !point.qualifier.is_empty() {
                key(text, "qualifier", point.qualifier.as_str());
            }
        }
        None => {
            for candidate in &point.candidates {
                *text += "#";
                key(text, "semantic_id", candidate.as_str());
            }
        }
    }
    if !point.description.is_empty() {
        key(text, "description", point.description.as_str());
    }
    key(text, "address", point.address.as_str());
}

/// A key with a value, quoted as TOML wants it.
fn key(text: &mut String, name: &str, value: impl Into<Value>) {
    let _ = writeln!(text, "{name} = {}", value.into());
}

fn serialized(text: &mut String, name: &str, value: &impl serde::Serialize) {
    // What is written so are names from closed lists.
    if let Ok(value) = Value::try_from(value) {
        key(text, name, value);
    }
}

/// A machine's text within one line of a comment.
fn line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
