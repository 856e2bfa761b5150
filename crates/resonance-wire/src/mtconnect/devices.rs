//! Device models: the answer to `probe` (Part 2).

use super::error::WireError;
use super::header::{Header, begin};
use super::xml::{Tag, Token, Xml};
use super::{Kind, Limits};

/// What an agent says of its devices.
#[derive(Clone, Debug, PartialEq)]
pub struct Devices {
    /// The document's header.
    pub header: Header,
    /// The devices, the agent itself among them since 1.7.
    pub devices: Vec<Device>,
}

/// A piece of equipment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Device {
    /// Components in the order of the document, parents before children. The first is the device
    /// itself.
    pub components: Vec<Component>,
    /// Data items in the order of the document.
    pub data_items: Vec<DataItem>,
}

/// A part of a device; the first of a device's components is the device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Component {
    /// The place of the component it is part of; `None`: it is the device.
    pub parent: Option<usize>,
    /// What it is, such as `Linear` or `Controller`.
    pub kind: String,
    /// Its id, unique in the document.
    pub id: String,
    /// Its name; empty: none.
    pub name: String,
    /// The machine's own name for it; empty: none.
    pub native_name: String,
    /// Its uuid; empty: none. Devices have one.
    pub uuid: String,
    /// Who made it, and which one it is.
    pub description: Description,
    /// Parts without data items of their own.
    pub compositions: Vec<Composition>,
}

/// Who made something, and which one it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The maker; empty: not said.
    pub manufacturer: String,
    /// The maker's name for it; empty: not said.
    pub model: String,
    /// The serial number; empty: not said.
    pub serial_number: String,
    /// Where it stands; empty: not said.
    pub station: String,
    /// For people.
    pub text: String,
}

/// A part of a component that has no data items of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Composition {
    /// Its id; data items name it.
    pub id: String,
    /// What it is, such as `MOTOR`.
    pub kind: String,
    /// Its name; empty: none.
    pub name: String,
}

/// Sample, event or condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// A number that is measured.
    #[default]
    Sample,
    /// A state, text or number that changes at a moment.
    Event,
    /// What is normal or not.
    Condition,
}

impl Category {
    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sample => "SAMPLE",
            Self::Event => "EVENT",
            Self::Condition => "CONDITION",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Sample, Self::Event, Self::Condition].into_iter().find(|c| c.name() == name)
    }
}

/// How a data item's values are built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Representation {
    /// One value.
    #[default]
    Value,
    /// Numbers at a fixed rate.
    TimeSeries,
    /// Entries with keys.
    DataSet,
    /// Entries with keys, of cells with keys.
    Table,
    /// One value, each of which counts; before 1.5, later the attribute `discrete`.
    Discrete,
}

impl Representation {
    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Value => "VALUE",
            Self::TimeSeries => "TIME_SERIES",
            Self::DataSet => "DATA_SET",
            Self::Table => "TABLE",
            Self::Discrete => "DISCRETE",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Value, Self::TimeSeries, Self::DataSet, Self::Table, Self::Discrete]
            .into_iter()
            .find(|representation| representation.name() == name)
    }
}

/// What can be observed of a component. Texts that are empty were not said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataItem {
    /// Its id, unique in the document; observations name it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Sample, event or condition.
    pub category: Category,
    /// What it is, such as `POSITION`; with a prefix where it is the maker's own.
    pub kind: String,
    /// Which of its kind, such as `ACTUAL` or `COMMANDED`.
    pub sub_type: String,
    /// In which unit observations are; see [`super::unit`].
    pub units: String,
    /// In which unit the machine has it; the agent converts.
    pub native_units: String,
    /// What the machine's numbers are multiples of; the agent divides by it.
    pub native_scale: Option<f64>,
    /// How its values are built.
    pub representation: Representation,
    /// What was computed of it, such as `AVERAGE`.
    pub statistic: String,
    /// Observations per second, of a time series or as sampled.
    pub sample_rate: Option<f64>,
    /// `MACHINE` or `WORK`, before 2.0.
    pub coordinate_system: String,
    /// The coordinate system it is in, since 1.6.
    pub coordinate_system_id: String,
    /// The composition it is about.
    pub composition_id: String,
    /// Digits that mean something.
    pub significant_digits: Option<u32>,
    /// Whether each observation counts, though the value be the same.
    pub discrete: bool,
    /// What its values can be.
    pub constraints: Constraints,
    /// Which changes are reported.
    pub filters: Filters,
    /// What it begins with.
    pub initial_value: String,
    /// When its counter begins anew, such as `DAY`.
    pub reset_trigger: String,
    /// Where the machine has it.
    pub source: String,
    /// What it means, in the maker's words: the description of its definition.
    pub definition: String,
    /// The place of its component in [`Device::components`].
    pub component: usize,
}

/// What values can be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Constraints {
    /// The only values there are; one value: it never changes.
    pub values: Vec<String>,
    /// The least.
    pub minimum: Option<f64>,
    /// The greatest.
    pub maximum: Option<f64>,
    /// The usual.
    pub nominal: Option<f64>,
}

/// Which changes are reported.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Filters {
    /// Changes of at least this, in the unit.
    pub minimum_delta: Option<f64>,
    /// At most one in so many seconds.
    pub period_s: Option<f64>,
}

impl Devices {
    /// Reads a device model.
    ///
    /// # Errors
    /// Where the document is none, malformed, cut off, larger than the limits or without what the
    /// standard requires.
    pub fn parse(document: &[u8], limits: Limits) -> Result<Self, WireError> {
        let (mut xml, header) = begin(document, limits, Kind::Devices)?;
        let mut reader = Reader { items_left: limits.items_max, items_max: limits.items_max };
        let mut devices = Vec::new();
        while let Some(token) = xml.next()? {
            let Token::Open(tag) = token else { continue };
            match tag.name() {
                "Devices" => {}
                // The agent itself is a device of another name.
                "Device" | "Agent" => {
                    let mut device = Device::default();
                    reader.component(&mut xml, tag, None, &mut device)?;
                    devices.push(device);
                }
                _ => xml.skip()?,
            }
        }
        Ok(Self { header, devices })
    }

    /// The device with this name or uuid.
    pub fn device(&self, wanted: &str) -> Option<&Device> {
        let is = |device: &&Device| device.name() == wanted || device.uuid() == wanted;
        self.devices.iter().find(is)
    }

    /// The data item with this id, and its device.
    pub fn data_item(&self, id: &str) -> Option<(&Device, &DataItem)> {
        self.data_items().find(|(_, item)| item.id == id)
    }

    /// Every data item with its device.
    pub fn data_items(&self) -> impl Iterator<Item = (&Device, &DataItem)> {
        self.devices.iter().flat_map(|device| device.data_items.iter().map(move |i| (device, i)))
    }
}

impl Device {
    /// The device as a component of itself; `None` where it was made without.
    pub fn root(&self) -> Option<&Component> {
        self.components.first()
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        self.root().map_or("", |root| &root.name)
    }

    /// The device's uuid.
    pub fn uuid(&self) -> &str {
        self.root().map_or("", |root| &root.uuid)
    }

    /// Whether this is the agent itself and no machine.
    pub fn is_agent(&self) -> bool {
        self.root().is_some_and(|root| root.kind == "Agent")
    }

    /// From the device's child down to a component, such as `Axes`, `Linear X`: each by its kind
    /// and its name. Empty for the device itself.
    pub fn path(&self, component: usize) -> Vec<&Component> {
        let mut path = Vec::new();
        let mut at = self.components.get(component);
        // Parents come before children, so this ends.
        while let Some(here) = at.filter(|here| here.parent.is_some()) {
            path.push(here);
            at = here.parent.and_then(|parent| self.components.get(parent));
        }
        path.reverse();
        path
    }

    /// The path of a data item's component as one text: `Axes/Linear[X]`.
    pub fn path_of(&self, item: &DataItem) -> String {
        let step = |component: &&Component| match component.name.as_str() {
            "" => component.kind.clone(),
            name => format!("{}[{name}]", component.kind),
        };
        self.path(item.component).iter().map(step).collect::<Vec<_>>().join("/")
    }

    /// The composition that a data item is about.
    pub fn composition_of(&self, item: &DataItem) -> Option<&Composition> {
        let compositions = self.components.iter().flat_map(|c| &c.compositions);
        compositions.into_iter().find(|c| !c.id.is_empty() && c.id == item.composition_id)
    }
}

struct Reader {
    items_left: usize,
    items_max: usize,
}

impl Reader {
    fn count(&mut self, tag: Tag<'_>) -> Result<(), WireError> {
        let Some(left) = self.items_left.checked_sub(1) else {
            let what = "components and data items";
            return Err(WireError::TooMany { offset: tag.offset, what, limit: self.items_max });
        };
        self.items_left = left;
        Ok(())
    }

    /// Reads a component whose opening tag was just read, with all in it.
    fn component(
        &mut self,
        xml: &mut Xml<'_>,
        tag: Tag<'_>,
        parent: Option<usize>,
        device: &mut Device,
    ) -> Result<(), WireError> {
        self.count(tag)?;
        let mut component = Component { parent, kind: tag.name().into(), ..Component::default() };
        tag.attributes(|name, value| match name {
            "id" => component.id = value.into_owned(),
            "name" => component.name = value.into_owned(),
            "nativeName" => component.native_name = value.into_owned(),
            "uuid" => component.uuid = value.into_owned(),
            _ => {}
        })?;
        if component.id.is_empty() {
            return Err(tag.missing("id"));
        }
        let at = device.components.len();
        device.components.push(component);
        loop {
            let inner = match xml.expect()? {
                Token::Open(inner) => inner,
                Token::Close => return Ok(()),
                Token::Text(_) | Token::Char(_) => continue,
            };
            match inner.name() {
                "Description" => {
                    let description = description(xml, inner)?;
                    if let Some(component) = device.components.get_mut(at) {
                        component.description = description;
                    }
                }
                "DataItems" => self.data_items(xml, at, device)?,
                "Components" => loop {
                    match xml.expect()? {
                        Token::Open(child) => self.component(xml, child, Some(at), device)?,
                        Token::Close => break,
                        Token::Text(_) | Token::Char(_) => {}
                    }
                },
                "Compositions" => self.compositions(xml, at, device)?,
                _ => xml.skip()?,
            }
        }
    }

    fn compositions(
        &mut self,
        xml: &mut Xml<'_>,
        at: usize,
        device: &mut Device,
    ) -> Result<(), WireError> {
        loop {
            let tag = match xml.expect()? {
                Token::Open(tag) => tag,
                Token::Close => return Ok(()),
                Token::Text(_) | Token::Char(_) => continue,
            };
            self.count(tag)?;
            let mut composition = Composition::default();
            tag.attributes(|name, value| match name {
                "id" => composition.id = value.into_owned(),
                "type" => composition.kind = value.into_owned(),
                "name" => composition.name = value.into_owned(),
                _ => {}
            })?;
            if let Some(component) = device.components.get_mut(at) {
                component.compositions.push(composition);
            }
            xml.skip()?;
        }
    }

    fn data_items(
        &mut self,
        xml: &mut Xml<'_>,
        at: usize,
        device: &mut Device,
    ) -> Result<(), WireError> {
        loop {
            let tag = match xml.expect()? {
                Token::Open(tag) => tag,
                Token::Close => return Ok(()),
                Token::Text(_) | Token::Char(_) => continue,
            };
            if tag.name() != "DataItem" {
                xml.skip()?;
                continue;
            }
            self.count(tag)?;
            device.data_items.push(data_item(xml, tag, at)?);
        }
    }
}

fn description(xml: &mut Xml<'_>, tag: Tag<'_>) -> Result<Description, WireError> {
    let mut description = Description::default();
    tag.attributes(|name, value| match name {
        "manufacturer" => description.manufacturer = value.into_owned(),
        "model" => description.model = value.into_owned(),
        "serialNumber" => description.serial_number = value.into_owned(),
        "station" => description.station = value.into_owned(),
        _ => {}
    })?;
    description.text = xml.text()?.trim().to_owned();
    Ok(description)
}

fn data_item(xml: &mut Xml<'_>, tag: Tag<'_>, component: usize) -> Result<DataItem, WireError> {
    let mut item = DataItem { component, ..DataItem::default() };
    let (mut category, mut wrong) = (None, None);
    tag.attributes(|name, value| match name {
        "id" => item.id = value.into_owned(),
        "name" => item.name = value.into_owned(),
        "category" => {
            category = Category::from_name(&value);
            if category.is_none() {
                let expected = "it must be SAMPLE, EVENT or CONDITION";
                wrong = Some(tag.invalid("category", &value, expected));
            }
        }
        "type" => item.kind = value.into_owned(),
        "subType" => item.sub_type = value.into_owned(),
        "units" => item.units = value.into_owned(),
        "nativeUnits" => item.native_units = value.into_owned(),
        "nativeScale" => item.native_scale = value.trim().parse().ok(),
        "representation" => match Representation::from_name(&value) {
            Some(representation) => item.representation = representation,
            None => {
                let expected = "it must be VALUE, TIME_SERIES, DATA_SET, TABLE or DISCRETE";
                wrong = Some(tag.invalid("representation", &value, expected));
            }
        },
        "statistic" => item.statistic = value.into_owned(),
        "sampleRate" => item.sample_rate = value.trim().parse().ok(),
        "coordinateSystem" => item.coordinate_system = value.into_owned(),
        "coordinateSystemIdRef" => item.coordinate_system_id = value.into_owned(),
        "compositionId" => item.composition_id = value.into_owned(),
        "significantDigits" => item.significant_digits = value.trim().parse().ok(),
        "discrete" => item.discrete = matches!(&*value, "true" | "1"),
        _ => {}
    })?;
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    item.category = category.ok_or_else(|| tag.missing("category"))?;
    for (text, name) in [(&item.id, "id"), (&item.kind, "type")] {
        if text.is_empty() {
            return Err(tag.missing(name));
        }
    }
    loop {
        match xml.expect()? {
            Token::Open(inner) => match inner.name() {
                "Constraints" => constraints(xml, &mut item)?,
                "Filters" => filters(xml, &mut item.filters)?,
                "InitialValue" => item.initial_value = xml.text()?.trim().to_owned(),
                "ResetTrigger" => item.reset_trigger = xml.text()?.trim().to_owned(),
                "Source" => item.source = xml.text()?.trim().to_owned(),
                "Definition" => definition(xml, &mut item)?,
                _ => xml.skip()?,
            },
            Token::Close => return Ok(item),
            Token::Text(_) | Token::Char(_) => {}
        }
    }
}

fn definition(xml: &mut Xml<'_>, item: &mut DataItem) -> Result<(), WireError> {
    loop {
        match xml.expect()? {
            Token::Open(tag) if tag.name() == "Description" => {
                item.definition = xml.text()?.trim().to_owned();
            }
            Token::Open(_) => xml.skip()?,
            Token::Close => return Ok(()),
            Token::Text(_) | Token::Char(_) => {}
        }
    }
}

fn constraints(xml: &mut Xml<'_>, item: &mut DataItem) -> Result<(), WireError> {
    loop {
        let tag = match xml.expect()? {
            Token::Open(tag) => tag,
            Token::Close => return Ok(()),
            Token::Text(_) | Token::Char(_) => continue,
        };
        match tag.name() {
            "Value" => item.constraints.values.push(xml.text()?.trim().to_owned()),
            "Minimum" => item.constraints.minimum = number(xml)?,
            "Maximum" => item.constraints.maximum = number(xml)?,
            "Nominal" => item.constraints.nominal = number(xml)?,
            // Until 1.4 a filter stood here.
            "Filter" => filter(xml, tag, &mut item.filters)?,
            _ => xml.skip()?,
        }
    }
}

fn filters(xml: &mut Xml<'_>, filters: &mut Filters) -> Result<(), WireError> {
    loop {
        match xml.expect()? {
            Token::Open(tag) => filter(xml, tag, filters)?,
            Token::Close => return Ok(()),
            Token::Text(_) | Token::Char(_) => {}
        }
    }
}

fn filter(xml: &mut Xml<'_>, tag: Tag<'_>, filters: &mut Filters) -> Result<(), WireError> {
    let (mut is_period, mut is_delta) = (false, false);
    tag.attributes(|name, value| {
        is_period |= name == "type" && &*value == "PERIOD";
        is_delta |= name == "type" && &*value == "MINIMUM_DELTA";
    })?;
    let value = number(xml)?;
    if is_period {
        filters.period_s = value;
    } else if is_delta {
        filters.minimum_delta = value;
    }
    Ok(())
}

fn number(xml: &mut Xml<'_>) -> Result<Option<f64>, WireError> {
    Ok(xml.text()?.trim().parse().ok().filter(|number: &f64| number.is_finite()))
}
