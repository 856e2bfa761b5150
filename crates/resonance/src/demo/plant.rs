//! The demo's plant file, written from what the machines show.

use std::fmt::Write;
use std::path::Path;

use resonance_plant::Interpolation;
use resonance_simulate::machine::{Channel, MachineSpec};

/// A machine of the demo.
pub(super) struct Machine<'a> {
    /// The asset's id, and the first part of its source's.
    pub(super) asset: &'static str,
    /// The equipment class.
    pub(super) class: &'static str,
    /// Where it listens.
    pub(super) url: &'a str,
    /// What it shows.
    pub(super) spec: &'a MachineSpec,
}

/// A model of the demo.
pub(super) struct Judge<'a> {
    /// The deployment's id.
    pub(super) id: &'static str,
    /// The asset it judges.
    pub(super) asset: &'static str,
    /// The folder of its package.
    pub(super) package: &'a Path,
    /// Further keys of the deployment.
    pub(super) keys: &'static str,
}

/// The namespace of simulated machines is the first after OPC UA's own two.
const NAMESPACE: u16 = 2;

/// The plant file of these machines and models, whose results go to `mes_url`.
pub(super) fn text(machines: &[Machine<'_>], judges: &[Judge<'_>], mes_url: &str) -> String {
    let mut text = String::from(
        "# The plant of `resonance demo`: its machines are simulated or replayed.\n\
         events_file = \"events.jsonl\"\n\n\
         [plant]\nenterprise = \"resonance\"\nsite = \"demo\"\narea = \"machining\"\n\
         work_center = \"line-1\"\n",
    );
    for machine in machines {
        // Writing to a String cannot fail.
        let _ = write_machine(&mut text, machine);
    }
    for judge in judges {
        let package = quoted(&judge.package.to_string_lossy());
        let _ = write!(
            text,
            "\n[[deployment]]\nid = {}\nmodel = {package}\nasset = {}\n{}\n",
            quoted(judge.id),
            quoted(judge.asset),
            judge.keys
        );
    }
    let _ = write!(
        text,
        "\n[[sink]]\nid = \"mes\"\ntype = \"mqtt\"\nurl = {}\n\n\
         [server.opcua]\nlisten = \"127.0.0.1:0\"\nallow_anonymous = true\nallow_none = true\n\n\
         [server.http]\nlisten = \"127.0.0.1:0\"\nanonymous = \"operate\"\n",
        quoted(mes_url)
    );
    text
}

fn write_machine(text: &mut String, machine: &Machine<'_>) -> std::fmt::Result {
    let Machine { asset, class, url, spec } = machine;
    write!(
        text,
        "\n[[source]]\nid = \"{asset}-opcua\"\ntype = \"opcua\"\nurl = {}\n\
         security_policy = \"none\"\nsecurity_mode = \"none\"\nallow_weak_security = true\n\n\
         [[asset]]\nid = \"{asset}\"\nclass = \"{class}\"\ndescription = {}\n\
         source = \"{asset}-opcua\"\n",
        quoted(url),
        quoted(&spec.description)
    )?;
    spec.channels.iter().try_for_each(|channel| write_point(text, spec, channel))
}

fn write_point(text: &mut String, spec: &MachineSpec, channel: &Channel) -> std::fmt::Result {
    let alone = spec.channels.iter().filter(|other| other.name == channel.name).count() == 1;
    let name = if alone { snake_case(&channel.name) } else { snake_case(&channel.path()) };
    writeln!(text, "\n[[asset.point]]\nname = {}", quoted(&name))?;
    writeln!(text, "type = \"{}\"", channel.data_type.name())?;
    if let (Some(quantity), Some(unit)) = (channel.quantity, channel.unit) {
        writeln!(text, "quantity = \"{quantity}\"\nunit = \"{unit}\"")?;
    }
    if let Some(range) = channel.range {
        writeln!(text, "range = [{:?}, {:?}]", range.low, range.high)?;
    }
    if channel.interpolation != Interpolation::default() {
        let name = match channel.interpolation {
            Interpolation::Step => "step",
            Interpolation::Linear => "linear",
            Interpolation::Angle => "angle",
            Interpolation::Counter => "counter",
            Interpolation::Category => "category",
        };
        writeln!(text, "interpolation = \"{name}\"")?;
    }
    if let Some(semantic_id) = &channel.semantic_id {
        writeln!(text, "semantic_id = {}", quoted(semantic_id.as_str()))?;
    }
    if !channel.qualifier.is_none() {
        writeln!(text, "qualifier = {}", quoted(&channel.qualifier.0))?;
    }
    if !channel.labels.is_empty() {
        let labels: Vec<String> = channel.labels.iter().map(|label| quoted(label)).collect();
        writeln!(text, "labels = [{}]", labels.join(", "))?;
    }
    let node = spec.node_id(channel);
    writeln!(text, "address = {}", quoted(&format!("ns={NAMESPACE};s={node}")))
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// `SpindlePower` as `spindle_power`.
fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut before = '_';
    for c in name.chars() {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            out.push('_');
        }
        out.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use resonance_simulate::cnc::CncMachine;

    use super::*;

    #[test]
    fn the_plant_of_the_simulated_cnc_has_no_mistakes() {
        let spec = CncMachine::spec(1);
        let machine = Machine {
            asset: "mill",
            class: "cnc_machine_tool",
            url: "opc.tcp://127.0.0.1:4840",
            spec: &spec,
        };
        let text = text(&[machine], &[], "mqtt://127.0.0.1:1883");
        let plant = crate::config::PlantText::from_memory(Path::new("plant.toml"), text);
        let (plan, report) = plant.plan(crate::config::Purpose::Check);
        assert_eq!(report.render(false), "");
        assert_eq!(plan.unwrap().plant.points.len(), spec.channels.len());
    }

    #[test]
    fn names_become_those_of_plant_files() {
        assert_eq!(snake_case("SpindlePower"), "spindle_power");
        assert_eq!(snake_case("T24"), "t24");
        assert_eq!(snake_case("X1_ActualPosition"), "x1_actual_position");
    }
}
