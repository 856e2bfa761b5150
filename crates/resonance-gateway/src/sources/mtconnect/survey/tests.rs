use resonance_plant::{DataType, Interpolation, Unit, Value};
use resonance_wire::mtconnect::Limits;

use super::*;

const PROBE: &str = r#"<MTConnectDevices xmlns="urn:mtconnect.org:MTConnectDevices:2.2">
<Header sender="s" version="2.2.0" creationTime="2026-11-21T08:00:00Z" instanceId="1" bufferSize="100"/>
<Devices>
 <Agent id="a" name="Agent" uuid="u0"><DataItems>
  <DataItem id="a_av" category="EVENT" type="AVAILABILITY"/>
 </DataItems></Agent>
 <Device id="d" name="Mill" uuid="u1"><Components>
  <Axes id="ax"><Components>
   <Linear id="x" name="X"><DataItems>
    <DataItem id="xp" name="Xabs" category="SAMPLE" type="POSITION" subType="ACTUAL" units="MILLIMETER" nativeUnits="INCH">
     <Constraints><Minimum>-10</Minimum><Maximum>10</Maximum></Constraints></DataItem>
    <DataItem id="xl" category="SAMPLE" type="LOAD" units="PERCENT" nativeUnits="AMPERE"/>
    <DataItem id="xa" category="SAMPLE" type="LOAD" units="PERCENT" statistic="AVERAGE"/>
   </DataItems></Linear>
   <Rotary id="b" name="B"><DataItems>
    <DataItem id="bl" category="SAMPLE" type="LOAD" units="PERCENT"/>
   </DataItems></Rotary>
   <Rotary id="c" name="C"><DataItems>
    <DataItem id="cm" category="EVENT" type="ROTARY_MODE"><Constraints><Value>SPINDLE</Value></Constraints></DataItem>
    <DataItem id="cl" category="SAMPLE" type="LOAD" units="PERCENT"/>
    <DataItem id="cc" category="CONDITION" type="LOAD"/>
    <DataItem id="ct" category="SAMPLE" type="TEMPERATURE" units="CELSIUS" compositionId="m">
     <Definition><Description>urn:maker:motor:temperature</Description></Definition></DataItem>
    <DataItem id="cv" category="SAMPLE" type="VELOCITY" units="MILLIMETER/SECOND" representation="TIME_SERIES">
     <Definition><Description>Of the spindle's nose</Description></Definition></DataItem>
   </DataItems><Compositions><Composition id="m" type="MOTOR"/></Compositions></Rotary>
  </Components></Axes>
  <Path id="p"><DataItems>
   <DataItem id="pe" category="EVENT" type="EXECUTION"/>
   <DataItem id="pm" category="EVENT" type="CONTROLLER_MODE"/>
   <DataItem id="po" category="EVENT" type="PATH_FEEDRATE_OVERRIDE"/>
   <DataItem id="pc" category="EVENT" type="PART_COUNT"/>
   <DataItem id="pn" category="EVENT" type="PROGRAM"/>
   <DataItem id="pp" category="SAMPLE" type="PATH_POSITION" units="MILLIMETER_3D"/>
   <DataItem id="pv" category="EVENT" type="VARIABLE" representation="DATA_SET"/>
   <DataItem id="pt" category="EVENT" type="TOOL_OFFSETS" representation="TABLE"/>
   <DataItem id="pw" category="EVENT" type="WORK_OFFSETS" representation="TABLE"/>
   <DataItem id="p odd" category="EVENT" type="BLOCK"/>
  </DataItems></Path>
 </Components></Device>
</Devices></MTConnectDevices>"#;

const CURRENT: &str = r#"<MTConnectStreams xmlns="urn:mtconnect.org:MTConnectStreams:2.2">
<Header sender="s" version="2.2.0" creationTime="2026-11-21T08:00:00Z" instanceId="1" bufferSize="100" firstSequence="1" lastSequence="20" nextSequence="21"/>
<Streams><DeviceStream name="Mill" uuid="u1">
 <ComponentStream component="Linear" componentId="x"><Samples>
  <Position dataItemId="xp" timestamp="2026-11-21T08:00:00Z" sequence="1">12.5</Position>
  <Load dataItemId="xl" timestamp="2026-11-21T08:00:00Z" sequence="2">full</Load>
  <Load dataItemId="xa" timestamp="2026-11-21T08:00:00Z" sequence="3">UNAVAILABLE</Load>
 </Samples></ComponentStream>
 <ComponentStream component="Rotary" componentId="c"><Condition>
  <Fault dataItemId="cc" timestamp="2026-11-21T08:00:00Z" sequence="4" type="LOAD" nativeCode="1"/>
  <Warning dataItemId="cc" timestamp="2026-11-21T08:00:00Z" sequence="5" type="LOAD" nativeCode="2"/>
 </Condition></ComponentStream>
 <ComponentStream component="Path" componentId="p"><Events>
  <Execution dataItemId="pe" timestamp="2026-11-21T08:00:00Z" sequence="6">ACTIVE</Execution>
  <ControllerMode dataItemId="pm" timestamp="2026-11-21T08:00:00Z" sequence="7">TEACHING</ControllerMode>
  <PartCount dataItemId="pc" timestamp="2026-11-21T08:00:00Z" sequence="8">7</PartCount>
  <VariableDataSet dataItemId="pv" timestamp="2026-11-21T08:00:00Z" sequence="9" count="3">
   <Entry key="R1">1.5</Entry><Entry key="R2">on</Entry><Entry key="R#3">1</Entry></VariableDataSet>
  <ToolOffsetsTable dataItemId="pt" timestamp="2026-11-21T08:00:00Z" sequence="10" count="1">
   <Entry key="T1"><Cell key="LENGTH">100.25</Cell></Entry></ToolOffsetsTable>
 </Events></ComponentStream>
</DeviceStream></Streams></MTConnectStreams>"#;

fn surveyed() -> Survey {
    let config = toml::from_str("url = 'http://mill:5000'").unwrap();
    let model = Devices::parse(PROBE.as_bytes(), Limits::default()).unwrap();
    let latest = Latest::read(CURRENT.as_bytes(), Limits::default()).unwrap();
    taken(&config, &model, &latest)
}

fn of<'s>(survey: &'s Survey, address: &str) -> &'s Variable {
    let found = survey.variables.iter().find(|variable| variable.address == address);
    found.unwrap_or_else(|| panic!("no {address} in {:#?}", survey.variables))
}

#[test]
fn data_items_are_carried_by_what_they_are() {
    let survey = surveyed();
    for (address, data_type, unit, value) in [
        ("xp", DataType::Float64, Some("MMT"), Some(Value::Float(12.5))),
        ("cc", DataType::Uint8, None, Some(Value::Uint(2))),
        ("cv", DataType::Float64Array, Some("C16"), None),
        ("pe", DataType::Int32, None, Some(Value::Int(1))),
        // A word that the standard does not have.
        ("pm", DataType::String, None, Some(Value::Text("TEACHING".into()))),
        ("po", DataType::Float64, Some("P1"), None),
        ("pc", DataType::Int64, None, Some(Value::Int(7))),
        ("pn", DataType::String, None, None),
        ("pp", DataType::Float64Array, Some("MMT"), None),
        ("pv#R1", DataType::Float64, None, Some(Value::Float(1.5))),
        ("pv#R2", DataType::String, None, Some(Value::Text("on".into()))),
        ("pt#T1#LENGTH", DataType::Float64, None, Some(Value::Float(100.25))),
    ] {
        let variable = of(&survey, address);
        assert_eq!(variable.data_type, Ok(data_type), "{address}");
        let told = variable.unit.as_ref().and_then(|told| told.unit);
        assert_eq!(told.map(Unit::code), unit, "{address}");
        assert_eq!(variable.value, value, "{address}");
    }
    let position = of(&survey, "xp");
    assert_eq!(position.range.map(|range| (range.low, range.high)), Some((-10.0, 10.0)));
    assert_eq!(of(&survey, "pe").interpolation, Some(Interpolation::Category));
    assert_eq!(of(&survey, "cc").labels, ["normal", "warning", "fault"]);
    assert!(of(&survey, "xa").status.is_bad(), "it is UNAVAILABLE");
}

#[test]
fn what_no_point_can_carry_is_told_with_the_reason() {
    let survey = surveyed();
    for (address, says) in [
        ("a_av", "the agent itself"),
        ("pw", "id#row#column"),
        ("p odd", "spaces"),
        ("pv#R#3", "has a #"),
    ] {
        let Err(why) = &of(&survey, address).data_type else { panic!("{address} is carried") };
        assert!(why.contains(says), "{address}: {why}");
    }
}

#[test]
fn types_tell_spindles_statistics_and_conditions_apart() {
    let survey = surveyed();
    let types = |address: &str| {
        let path = &of(&survey, address).path;
        let name = |step: &Arc<Step>| step.types[0].name.clone();
        (name(&path[path.len() - 2]), name(&path[path.len() - 1]))
    };
    assert_eq!(types("cl"), ("Spindle".into(), "LOAD".into()));
    assert_eq!(types("bl"), ("Rotary".into(), "LOAD".into()));
    assert_eq!(types("xp"), ("Linear".into(), "POSITION.ACTUAL".into()));
    assert_eq!(types("xa"), ("Linear".into(), "LOAD@AVERAGE".into()));
    assert_eq!(types("cc"), ("Spindle".into(), "LOAD#CONDITION".into()));
    assert_eq!(types("ct"), ("MOTOR".into(), "TEMPERATURE".into()));
    let names: Vec<&str> = of(&survey, "pt#T1#LENGTH").path.iter().map(|s| &*s.name.name).collect();
    assert_eq!(names, ["Mill", "Path", "TOOL_OFFSETS", "T1", "LENGTH"]);
}

#[test]
fn definitions_are_meanings_or_descriptions() {
    let survey = surveyed();
    assert_eq!(of(&survey, "ct").meanings, ["urn:maker:motor:temperature"]);
    let told = of(&survey, "cv");
    assert_eq!((told.meanings.len(), &*told.description), (0, "Of the spindle's nose"));
}

#[test]
fn what_contradicts_itself_is_warned_of() {
    let survey = surveyed();
    let expected = [
        "Mill/Axes/X/LOAD: nativeUnits AMPERE cannot be converted into units PERCENT: check both",
        "Mill/Axes/X/LOAD says \"full\" now, which is no float64",
    ];
    assert_eq!(survey.warnings, expected);
}
