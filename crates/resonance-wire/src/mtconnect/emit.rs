//! Writing documents: what an agent does. Whoever reads them back gets what was written.

use std::fmt::Write;

use quick_xml::escape::escape;
use resonance_plant::Timestamp;

use super::Kind;
use super::conditions::Level;
use super::devices::{Category, Component, DataItem, Device, Devices};
use super::header::{Header, Version};
use super::refusal::Refusal;
use super::streams::{Content, Entry, Observation, Reading};

/// Errors are elements of their own since this version.
const ERROR_ELEMENTS: Version = Version { major: 2, minor: 6 };

/// Headers say when the device model changed since this version; those of errors since
/// [`ERROR_ELEMENTS`].
const MODEL_CHANGE_TIME: Version = Version { major: 1, minor: 7 };

/// Activations have an id since this version; what ends one still names its native code.
const CONDITION_ID: Version = Version { major: 2, minor: 3 };

/// Writes a device model (Part 2).
pub fn devices(document: &Devices) -> String {
    let mut out = String::new();
    begin(&mut out, Kind::Devices, &document.header);
    out.push_str("<Devices>");
    for device in &document.devices {
        component(&mut out, device, 0);
    }
    out.push_str("</Devices></MTConnectDevices>\n");
    out
}

/// Writes an error document (Part 1). `uri` is what was asked for.
pub fn refusal(document: &Refusal, uri: &str) -> String {
    let mut out = String::new();
    begin(&mut out, Kind::Error, &document.header);
    out.push_str("<Errors>");
    for error in &document.errors {
        if document.header.version >= ERROR_ELEMENTS {
            let name = super::refusal::element(&error.code);
            let _ = write!(out, "<{name}>");
            if error.code == "OUT_OF_RANGE" {
                out.push_str("<QueryParameter name=\"from\"/>");
            }
            element(&mut out, "URI", uri);
            element(&mut out, "ErrorMessage", &error.message);
            let _ = write!(out, "</{name}>");
        } else {
            out.push_str("<Error");
            attribute(&mut out, "errorCode", &error.code);
            let _ = write!(out, ">{}</Error>", escape(&*error.message));
        }
    }
    out.push_str("</Errors></MTConnectError>\n");
    out
}

/// Writes observations (Part 3): devices, in them components, in them observations by category.
#[derive(Debug)]
pub struct StreamsWriter {
    out: String,
    version: Version,
    device_is_open: bool,
    component_is_open: bool,
    category: Option<Category>,
}

impl StreamsWriter {
    /// Begins a document; the header has sequences.
    pub fn new(header: &Header) -> Self {
        let mut out = String::with_capacity(4096);
        begin(&mut out, Kind::Streams, header);
        out.push_str("<Streams>");
        let version = header.version;
        Self { out, version, device_is_open: false, component_is_open: false, category: None }
    }

    /// Begins a device.
    pub fn device(&mut self, device: &Device) {
        self.end_device();
        self.out.push_str("<DeviceStream");
        attribute(&mut self.out, "name", device.name());
        attribute(&mut self.out, "uuid", device.uuid());
        self.out.push('>');
        self.device_is_open = true;
    }

    /// Begins a component of the device.
    pub fn component(&mut self, component: &Component) {
        self.end_component();
        self.out.push_str("<ComponentStream");
        attribute(&mut self.out, "component", &component.kind);
        if !component.name.is_empty() {
            attribute(&mut self.out, "name", &component.name);
        }
        attribute(&mut self.out, "componentId", &component.id);
        self.out.push('>');
        self.component_is_open = true;
    }

    /// Writes an observation of a data item of the component; those of one category come together.
    pub fn observation(&mut self, item: &DataItem, observation: &Observation<'_>) {
        if self.category != Some(observation.category) {
            self.end_category();
            let _ = write!(self.out, "<{}>", list_of(observation.category));
            self.category = Some(observation.category);
        }
        let out = &mut self.out;
        let name = match &observation.reading {
            Reading::Condition(activation) => activation.level.name(),
            _ => observation.element,
        };
        let _ = write!(out, "<{name}");
        attribute(out, "dataItemId", &observation.data_item_id);
        let time = observation.time.unwrap_or(Timestamp::EPOCH);
        let _ = write!(out, " timestamp=\"{time}\" sequence=\"{}\"", observation.sequence);
        for (key, text) in [("name", &item.name), ("subType", &item.sub_type)] {
            if !text.is_empty() {
                attribute(out, key, text);
            }
        }
        if !observation.reset.is_empty() {
            attribute(out, "resetTriggered", &observation.reset);
        }
        reading(out, item, &observation.reading, self.version);
        let _ = write!(out, "</{name}>");
    }

    /// Ends the document.
    pub fn finish(mut self) -> String {
        self.end_device();
        self.out.push_str("</Streams></MTConnectStreams>\n");
        self.out
    }

    fn end_category(&mut self) {
        if let Some(category) = self.category.take() {
            let _ = write!(self.out, "</{}>", list_of(category));
        }
    }

    fn end_component(&mut self) {
        self.end_category();
        if std::mem::take(&mut self.component_is_open) {
            self.out.push_str("</ComponentStream>");
        }
    }

    fn end_device(&mut self) {
        self.end_component();
        if std::mem::take(&mut self.device_is_open) {
            self.out.push_str("</DeviceStream>");
        }
    }
}

fn list_of(category: Category) -> &'static str {
    match category {
        Category::Sample => "Samples",
        Category::Event => "Events",
        Category::Condition => "Condition",
    }
}

fn reading(out: &mut String, item: &DataItem, reading: &Reading<'_>, version: Version) {
    match reading {
        Reading::Unavailable => {
            match item.representation {
                super::Representation::TimeSeries => attribute(out, "sampleCount", "0"),
                super::Representation::DataSet | super::Representation::Table => {
                    attribute(out, "count", "0");
                }
                _ => {}
            }
            out.push_str(">UNAVAILABLE");
        }
        Reading::Text(text) => {
            let _ = write!(out, ">{}", escape(&**text));
        }
        Reading::Series(series) => {
            attribute(out, "sampleCount", &series.count.to_string());
            if let Some(rate) = series.rate {
                attribute(out, "sampleRate", &rate.to_string());
            }
            let _ = write!(out, ">{}", escape(&*series.text));
        }
        Reading::Entries(entries) => {
            attribute(out, "count", &entries.len().to_string());
            out.push('>');
            entries.iter().for_each(|one| entry(out, one));
        }
        Reading::Condition(activation) => {
            attribute(out, "type", &activation.kind);
            for (key, text) in [
                ("nativeCode", &activation.native_code),
                ("nativeSeverity", &activation.native_severity),
                ("qualifier", &activation.qualifier),
            ] {
                if !text.is_empty() {
                    attribute(out, key, text);
                }
            }
            if version >= CONDITION_ID && activation.level.is_active() {
                attribute(out, "conditionId", activation.key());
            }
            out.push('>');
            if activation.level != Level::Unavailable {
                out.push_str(&escape(&*activation.message));
            }
        }
    }
}

fn entry(out: &mut String, entry: &Entry<'_>) {
    out.push_str("<Entry");
    attribute(out, "key", &entry.key);
    if entry.removed {
        attribute(out, "removed", "true");
    }
    out.push('>');
    match &entry.content {
        Content::Text(text) => out.push_str(&escape(&**text)),
        Content::Cells(cells) => {
            for cell in cells {
                out.push_str("<Cell");
                attribute(out, "key", &cell.key);
                let _ = write!(out, ">{}</Cell>", escape(&*cell.text));
            }
        }
    }
    out.push_str("</Entry>");
}

fn begin(out: &mut String, kind: Kind, header: &Header) {
    let (root, version) = (kind.root(), header.version);
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"urn:mtconnect.org:{root}:\
         {version}\"><Header"
    );
    attribute(out, "sender", &header.sender);
    attribute(out, "version", &header.agent_version);
    let time = header.creation_time.unwrap_or(Timestamp::EPOCH);
    let _ = write!(
        out,
        " creationTime=\"{time}\" instanceId=\"{}\" bufferSize=\"{}\"",
        header.instance_id, header.buffer_size
    );
    if header.is_test {
        out.push_str(" testIndicator=\"true\"");
    }
    let since = if kind == Kind::Error { ERROR_ELEMENTS } else { MODEL_CHANGE_TIME };
    if version >= since {
        // The device model of an agent that begins with its process never changes after.
        let started = i64::try_from(header.instance_id).unwrap_or(0).saturating_mul(1_000);
        let _ = write!(out, " deviceModelChangeTime=\"{}\"", Timestamp::from_millis(started));
    }
    match (kind, header.sequences) {
        // The schemas know no agent without room for assets.
        (Kind::Devices, _) => out.push_str(" assetBufferSize=\"1\" assetCount=\"0\""),
        (Kind::Streams, Some(sequences)) => {
            let _ = write!(
                out,
                " firstSequence=\"{}\" lastSequence=\"{}\" nextSequence=\"{}\"",
                sequences.first, sequences.last, sequences.next
            );
        }
        _ => {}
    }
    out.push_str("/>");
}

/// A component with all in it.
fn component(out: &mut String, device: &Device, at: usize) {
    let Some(here) = device.components.get(at) else { return };
    let _ = write!(out, "<{}", here.kind);
    attribute(out, "id", &here.id);
    for (name, text) in
        [("name", &here.name), ("nativeName", &here.native_name), ("uuid", &here.uuid)]
    {
        if !text.is_empty() {
            attribute(out, name, text);
        }
    }
    out.push('>');
    description(out, here);
    let mut items = device.data_items.iter().filter(|item| item.component == at).peekable();
    if items.peek().is_some() {
        out.push_str("<DataItems>");
        items.for_each(|item| data_item(out, item));
        out.push_str("</DataItems>");
    }
    let mut children = device
        .components
        .iter()
        .enumerate()
        .filter(|(child, component)| *child > at && component.parent == Some(at))
        .peekable();
    if children.peek().is_some() {
        out.push_str("<Components>");
        children.for_each(|(child, _)| component(out, device, child));
        out.push_str("</Components>");
    }
    if !here.compositions.is_empty() {
        out.push_str("<Compositions>");
        for composition in &here.compositions {
            out.push_str("<Composition");
            attribute(out, "id", &composition.id);
            attribute(out, "type", &composition.kind);
            if !composition.name.is_empty() {
                attribute(out, "name", &composition.name);
            }
            out.push_str("/>");
        }
        out.push_str("</Compositions>");
    }
    let _ = write!(out, "</{}>", here.kind);
}

fn description(out: &mut String, component: &Component) {
    let said = &component.description;
    let attributes = [
        ("manufacturer", &said.manufacturer),
        ("model", &said.model),
        ("serialNumber", &said.serial_number),
        ("station", &said.station),
    ];
    if said.text.is_empty() && attributes.iter().all(|(_, text)| text.is_empty()) {
        return;
    }
    out.push_str("<Description");
    for (name, text) in attributes {
        if !text.is_empty() {
            attribute(out, name, text);
        }
    }
    let _ = write!(out, ">{}</Description>", escape(&*said.text));
}

fn data_item(out: &mut String, item: &DataItem) {
    out.push_str("<DataItem");
    attribute(out, "id", &item.id);
    attribute(out, "category", item.category.name());
    attribute(out, "type", &item.kind);
    for (name, text) in [
        ("name", &item.name),
        ("subType", &item.sub_type),
        ("statistic", &item.statistic),
        ("units", &item.units),
        ("nativeUnits", &item.native_units),
        ("coordinateSystem", &item.coordinate_system),
        ("coordinateSystemIdRef", &item.coordinate_system_id),
        ("compositionId", &item.composition_id),
    ] {
        if !text.is_empty() {
            attribute(out, name, text);
        }
    }
    for (name, number) in [("nativeScale", item.native_scale), ("sampleRate", item.sample_rate)] {
        if let Some(number) = number {
            attribute(out, name, &number.to_string());
        }
    }
    if item.representation != super::Representation::Value {
        attribute(out, "representation", item.representation.name());
    }
    if let Some(digits) = item.significant_digits {
        attribute(out, "significantDigits", &digits.to_string());
    }
    if item.discrete {
        attribute(out, "discrete", "true");
    }
    out.push('>');
    for (name, text) in [("Source", &item.source)] {
        if !text.is_empty() {
            element(out, name, text);
        }
    }
    constraints(out, item);
    if item.filters != super::Filters::default() {
        out.push_str("<Filters>");
        for (kind, value) in
            [("MINIMUM_DELTA", item.filters.minimum_delta), ("PERIOD", item.filters.period_s)]
        {
            if let Some(value) = value {
                let _ = write!(out, "<Filter type=\"{kind}\">{value}</Filter>");
            }
        }
        out.push_str("</Filters>");
    }
    for (name, text) in
        [("InitialValue", &item.initial_value), ("ResetTrigger", &item.reset_trigger)]
    {
        if !text.is_empty() {
            element(out, name, text);
        }
    }
    if !item.definition.is_empty() {
        out.push_str("<Definition>");
        element(out, "Description", &item.definition);
        out.push_str("</Definition>");
    }
    out.push_str("</DataItem>");
}

fn constraints(out: &mut String, item: &DataItem) {
    let constraints = &item.constraints;
    if *constraints == super::Constraints::default() {
        return;
    }
    out.push_str("<Constraints>");
    for value in &constraints.values {
        element(out, "Value", value);
    }
    for (name, number) in [
        ("Minimum", constraints.minimum),
        ("Maximum", constraints.maximum),
        ("Nominal", constraints.nominal),
    ] {
        if let Some(number) = number {
            element(out, name, &number.to_string());
        }
    }
    out.push_str("</Constraints>");
}

fn element(out: &mut String, name: &str, text: &str) {
    let _ = write!(out, "<{name}>{}</{name}>", escape(text));
}

fn attribute(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, " {name}=\"{}\"", escape(value));
}
