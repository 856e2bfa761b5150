use resonance_gateway::sources::survey::Survey;
use resonance_plant::{DataType, Interpolation, SemanticId, Unit};

use super::sheet::{Problem, Row, Sheet, guarded, unguarded};
use super::*;
use crate::connect::tests::{survey, variable, with_unit};
use crate::connect::{Proposal, propose};

fn list(text: &str) -> Result<TagList, TagError> {
    TagList::parse("tags.csv", Kind::Csv, text.as_bytes())
}

fn folded(text: &str, survey: &Survey) -> Result<Proposal, String> {
    let tags = list(text).map_err(|error| error.to_string())?;
    propose(survey, Some(&tags), &[]).map_err(|error| error.to_string())
}

fn offline(text: &str) -> Result<Proposal, String> {
    folded(text, &Survey::empty("opc.tcp://mill:4840"))
}

fn machine() -> Survey {
    let mut state = variable(&["Mill", "State"]);
    state.data_type = Ok(DataType::Int32);
    state.labels = vec!["off".into(), "a|b\\".into()];
    let mut load = with_unit(&["Mill", "Load"], "P1");
    load.range = Some(resonance_plant::Range { low: -5.5, high: 100.0 });
    load.description = "=1+1".into();
    load.meanings = vec!["urn:example:load".into()];
    survey(vec![load, state, variable(&["Mill", "温度 \"x\", y"]), variable(&["Other", "Speed"])])
}

fn shown(proposal: &Proposal) -> String {
    serde_json::to_string_pretty(&proposal.assets).unwrap()
}

#[test]
fn a_list_that_nobody_edited_changes_nothing() {
    let survey = machine();
    let proposal = propose(&survey, None, &[]).unwrap();
    let sheet = columns::sheet_of(&proposal);
    for (kind, bytes) in [
        (Kind::Csv, delimited::write(&sheet).unwrap()),
        (Kind::Xlsx, workbook::write(&sheet).unwrap()),
    ] {
        let tags = TagList::parse("tags", kind, &bytes).unwrap();
        let again = propose(&survey, Some(&tags), &[]).unwrap();
        assert_eq!(shown(&again), shown(&proposal), "{kind:?}");
        assert_eq!((again.warnings.len(), again.left_out.len()), (0, 0), "{:?}", again.warnings);
        // Without the machine, all but what only it knows.
        let alone = propose(&Survey::empty("u"), Some(&tags), &[]).unwrap();
        let point = &alone.assets[0].points[1];
        assert_eq!(point.labels, ["off", "a|b\\"]);
        assert_eq!(point.interpolation, Interpolation::Category);
    }
}

#[test]
fn what_a_list_says_goes_before_what_the_machine_says() {
    let load = &machine().variables[0].address;
    let state = machine().variables[1].node.clone();
    let text = format!(
        "Tag Name;Node-ID;EU;Min;Max;semantic_id;labels;asset;colour\r\n\
         drehzahl;\"{load}\";kW;0;1,5;urn:example:power;;presse;red\r\n\
         ;\"{state}\";;;;0173-1#02-AAH996#003;-;;\r\n\r\n"
    );
    let proposal = folded(&text, &machine()).unwrap();
    let ids: Vec<&str> = proposal.assets.iter().map(|asset| asset.id.as_str()).collect();
    assert_eq!(ids, ["presse", "mill"]);
    let power = &proposal.assets[0].points[0];
    assert_eq!((power.name.as_str(), power.unit.map(Unit::code)), ("drehzahl", Some("KWT")));
    assert_eq!(power.range.map(|range| (range.low, range.high)), Some((0.0, 1.5)));
    assert_eq!(power.semantic_id.as_ref().map(SemanticId::as_str), Some("urn:example:power"));
    assert_eq!(power.reason, "the tag list says so");
    let state = &proposal.assets[1].points[0];
    assert_eq!((state.labels.len(), state.name.as_str()), (0, "state"));
    let left: Vec<&str> = proposal.left_out.iter().map(|left| &*left.browse_path).collect();
    assert_eq!(left, ["Mill/温度 \"x\", y", "Other/Speed"]);
    let warnings = proposal.warnings.join("\n");
    for says in ["the column \"colour\" is not used", "unit: KWT in the list, P1 in the machine"] {
        assert!(warnings.contains(says), "{warnings}");
    }
}

#[test]
fn every_cell_that_cannot_be_used_is_told_with_its_place() {
    let text = "asset,point,address,type,unit,low,high,semantic_id,labels,class,quantity\n\
                m,a,s1,flaot64,,,,,,,\n\
                m,b,s2,real,parsec,,,,,,\n\
                m,c,s3,real,,9,1,,,,\n\
                m,d,s4,real,,x,,,,,\n\
                m,e,s5,real,,,,DB17.X4,,,\n\
                m,f,s6,int,,,,,on||off,,\n\
                m,g,s7,int,,,,,,cnc,\n\
                m,h,,int,,,,,,,\n\
                m,!!!,s9,int,,,,,,,\n\
                m,i,s10,int,,,,,,,speed\n\
                m,j,s11,,,,,,,,\n\
                m,same,s12,int,,,,,,,\n\
                m,same,s13,int,,,,,,,\n";
    let told = offline(text).unwrap_err();
    let lines: Vec<&str> = told.lines().collect();
    let expected = [
        "row 2, type: \"flaot64\" is no type, did you mean float64?",
        "row 3, unit: \"parsec\" is no unit",
        "row 4, low: the range from 9 to 1 is empty",
        "row 5, low: \"x\" is no number",
        "row 6, semantic_id: \"DB17.X4\" is none",
        "row 7, labels: a label is empty",
        "row 8, class: \"cnc\" is no equipment class",
        "row 9, address: it is empty",
        "row 10, point: \"!!!\" has no letter",
        "row 11, quantity: \"speed\" is no quantity",
        "row 12, type: it is empty, and the machine does not tell",
        "row 14, point: m has a point same in row 13 already",
    ];
    for says in expected {
        assert!(lines.iter().any(|line| line.contains(says)), "{says}\n{told}");
    }
    assert!(lines.iter().all(|line| line.starts_with("tags.csv: row ")), "{told}");
    let many = format!("address,unit,type\n{}", "a,parsec,real\n".repeat(100));
    let told = offline(&many).unwrap_err();
    assert_eq!(told.lines().count(), MISTAKES_MAX + 1);
    assert!(told.ends_with("\nand 80 more"), "{told}");
}

#[test]
fn duplicates_and_foreign_characters_are_taken_and_told() {
    let text = "\u{feff}point\taddress\ttype\nMotor 1.Speed [rpm]\tDB1\tREAL\n\
                ß/温度\tDB1\tLREAL\n";
    let proposal = offline(text).unwrap();
    let names: Vec<&str> = proposal.assets[0].points.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["Motor_1.Speed__rpm_", "ß_温度"]);
    let warnings = proposal.warnings.join("\n");
    assert!(warnings.contains("row 3, address: as in row 2"), "{warnings}");
    assert!(warnings.contains("\"Motor 1.Speed [rpm]\" is called Motor_1.Speed__rpm_"));
}

#[test]
fn no_cell_is_a_formula_and_each_comes_back() {
    for text in ["=cmd|' /C calc'!A0", "@SUM(A1)", "+x", "-y", "'=z", "''=z", "\tq", "-5", "'a", ""]
    {
        let cell = guarded(text);
        assert_eq!(unguarded(&cell), text, "{cell:?}");
        let computed = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
        assert!(!computed || cell.parse::<f64>().is_ok(), "{cell:?}");
    }
    let mut survey = machine();
    survey.variables[0].description = "=HYPERLINK(\"http://evil.example\")".into();
    let proposal = propose(&survey, None, &[]).unwrap();
    let csv = delimited::write(&columns::sheet_of(&proposal)).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    assert!(csv.contains("'=HYPERLINK") && !csv.contains(",=HYPERLINK"), "{csv}");
    assert!(!csv.contains(",\"=HYPERLINK"), "{csv}");
}

#[test]
fn files_that_are_no_lists_are_refused() {
    let refused = |kind, bytes: &[u8]| TagList::parse("tags", kind, bytes).unwrap_err().to_string();
    assert!(refused(Kind::Csv, b"").contains("no column is called address"));
    assert!(refused(Kind::Csv, b"tag,addres\n").contains("no column is called address"));
    assert!(refused(Kind::Csv, b"address,node id\n").contains("two columns are address"));
    assert!(refused(Kind::Csv, b"address\n\xff\xfe\n").contains("line 2: byte 8 is not UTF-8"));
    let open = format!("address\n\"{}", "x\n".repeat(40_000));
    assert!(refused(Kind::Csv, open.as_bytes()).contains("is a quote missing?"));
    let rows = format!("address\n{}", "a\n".repeat(ROWS_MAX + 1));
    assert!(refused(Kind::Csv, rows.as_bytes()).contains("more than 200000 rows"));
    assert!(refused(Kind::Xlsx, b"PK\x03\x04 no zip").contains("no XLSX workbook"));
    assert!(refused(Kind::Xlsx, b"").contains("no XLSX workbook"));
    let folder = tempfile::tempdir().unwrap();
    let other = TagList::read(&folder.path().join("tags.ods")).unwrap_err().to_string();
    assert!(other.contains(".csv or .xlsx"), "{other}");
    let absent = TagList::read(&folder.path().join("tags.csv")).unwrap_err();
    assert!(matches!(absent, TagError::File { .. }), "{absent}");
}

/// A workbook of these parts.
fn parts(parts: &[(&str, &str)]) -> Vec<u8> {
    use std::io::Write;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in parts {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn sheet(cells: &str) -> Result<Sheet, Problem> {
    let sheet = format!("<worksheet><sheetData>{cells}</sheetData></worksheet>");
    let texts = "<sst><si><t>address</t></si><si><r><t>a </t></r><r><t>&lt;b</t></r>\
                 <rPh><t>no</t></rPh></si></sst>";
    workbook::read(&parts(&[("xl/worksheets/sheet1.xml", &sheet), ("xl/sharedStrings.xml", texts)]))
}

#[test]
fn what_looks_like_a_code_of_workbooks_comes_back_as_it_was() {
    let texts = ["s=My_x0020_Tag", "_x005F_", "_x_x0020_", "a_xZZZZ_"].map(String::from);
    let row = Row { number: 2, cells: texts.to_vec() };
    let sheet = Sheet { header: texts.to_vec(), rows: vec![row] };
    assert_eq!(workbook::read(&workbook::write(&sheet).unwrap()).unwrap(), sheet);
}

#[test]
fn cells_of_all_kinds_are_read() {
    let read = sheet(
        "<row r=\"2\"><c r=\"B2\" t=\"s\"><v>0</v></c><c r=\"G2\"><v>_x0041_</v></c></row>\
         <row r=\"5\"><c r=\"A5\"><v>1.5</v></c><c t=\"s\"><v>1</v></c>\
         <c r=\"D5\" t=\"b\"><v>1</v></c><c t=\"str\"><f>1+1</f><v>two</v></c>\
         <c t=\"e\"></c><c t=\"inlineStr\"><is><t>in_x0020_it _x005F_x0020_</t></is></c>\
         <c r=\"IV5\"><v>1</v></c></row>",
    )
    .unwrap();
    assert_eq!(
        read.header,
        ["", "address", "", "", "", "", "_x0041_"],
        "a number's text is no text"
    );
    assert_eq!(read.rows[0].number, 5);
    let cells = ["1.5", "a <b", "", "true", "two", "", "in it _x0020_"];
    assert_eq!(read.rows[0].cells, cells, "what has no title is left out");
}

#[test]
fn hostile_workbooks_are_refused_or_bounded() {
    // A cell at the end of the sheet is no table of all before it.
    let far = sheet(
        "<row r=\"1\"><c r=\"A1\"><v>1</v></c></row>\
                     <row r=\"1048576\"><c r=\"XFD1048576\"><v>1</v></c></row>",
    );
    assert_eq!(far.unwrap().rows.len(), 0);
    assert!(sheet("<row><c t=\"s\"><v>7</v></c></row>").is_err(), "a text that is not there");
    assert!(sheet("<row><c><v>1</v></row>").is_err(), "no XML");
    let error = sheet("<row r=\"3\"><c t=\"e\"><v>#REF!</v></c></row>").unwrap_err();
    assert!(matches!(&error, Problem::Malformed(told) if told.contains("row 3: a cell is #REF!")));
    let wide = sheet("<row r=\"1\"><c r=\"A1\"><v>1</v></c><c r=\"IW1\"><v>1</v></c></row>");
    assert_eq!(wide.unwrap_err(), Problem::TooLarge("columns", CELLS_MAX as u64));
    let entity =
        parts(&[("xl/worksheets/sheet1.xml", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>")]);
    let told = workbook::read(&entity).unwrap_err();
    assert_eq!(told, Problem::Malformed("it has entities of its own".into()));
    assert!(workbook::read(&parts(&[("a.txt", "b")])).is_err(), "no sheet");
    let bomb = " ".repeat(workbook::PART_BYTES_MAX as usize + 1);
    let bomb = parts(&[("xl/worksheets/sheet1.xml", &bomb)]);
    assert!(bomb.len() < 1 << 20, "it is small on disk: {}", bomb.len());
    assert!(matches!(workbook::read(&bomb), Err(Problem::TooLarge("bytes in one part", _))));
    // One long text, named by many cells.
    let long = format!("<sst><si><t>{}</t></si></sst>", "x".repeat(100_000));
    let cells = "<c t=\"s\"><v>0</v></c>".repeat(250);
    let rows = format!("<worksheet>{}</worksheet>", format!("<row>{cells}</row>").repeat(10));
    let many = parts(&[("xl/worksheets/sheet1.xml", &rows), ("xl/sharedStrings.xml", &long)]);
    assert!(matches!(workbook::read(&many), Err(Problem::TooLarge("bytes in its cells", _))));
}

proptest::proptest! {
    #[test]
    fn noise_never_panics(
        at in 0_usize..2_000, noise in proptest::collection::vec(proptest::num::u8::ANY, 1..16),
    ) {
        let proposal = propose(&machine(), None, &[]).unwrap();
        let sheet = columns::sheet_of(&proposal);
        let written =
            [(Kind::Csv, delimited::write(&sheet)), (Kind::Xlsx, workbook::write(&sheet))];
        for (kind, bytes) in written {
            let mut bytes = bytes.unwrap();
            let from = at.min(bytes.len());
            let to = (from + noise.len()).min(bytes.len());
            bytes.splice(from..to, noise.clone());
            let _ = TagList::parse("tags", kind, &bytes);
        }
    }
}
