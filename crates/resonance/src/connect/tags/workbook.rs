//! Lists as XLSX (ECMA-376, part 1): the first sheet's cells as texts, numbers as they are written.
//!
//! Only what a list needs: a whole spreadsheet reader lays out a cell at the last row and column as
//! a table of all between. Every part has a bound on what it may unpack to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Read, Write as _};

use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::sheet::{Problem, Row, Sheet};
use super::{CELLS_MAX, CHARS_MAX, ROWS_MAX};

/// What a part of the file may unpack to, bytes.
pub(super) const PART_BYTES_MAX: u64 = 128 << 20;

/// The most texts that cells share.
const TEXTS_MAX: usize = ROWS_MAX * 16;

type Archive<'b> = ZipArchive<Cursor<&'b [u8]>>;

pub(super) fn read(bytes: &[u8]) -> Result<Sheet, Problem> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| {
        Problem::Malformed(format!("it is no XLSX workbook: {error}; save the list as .xlsx"))
    })?;
    let path = first_sheet(&mut archive)?;
    let texts = match part(&mut archive, "xl/sharedStrings.xml")? {
        Some(text) => shared_texts(&text)?,
        None => Vec::new(),
    };
    let Some(text) = part(&mut archive, &path)? else {
        return Err(Problem::Malformed(format!("it has no sheet: {path} is missing")));
    };
    cells(&text, &texts)
}

/// A part of the file as text; `None`: it has none of this name.
fn part(archive: &mut Archive<'_>, name: &str) -> Result<Option<String>, Problem> {
    let malformed = |problem: String| Problem::Malformed(format!("{name}: {problem}"));
    let file = match archive.by_name(name) {
        Ok(file) => file,
        Err(zip::result::ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(malformed(error.to_string())),
    };
    let mut bytes = Vec::new();
    let mut bounded = file.take(PART_BYTES_MAX + 1);
    bounded.read_to_end(&mut bytes).map_err(|error| malformed(error.to_string()))?;
    if bytes.len() as u64 > PART_BYTES_MAX {
        return Err(Problem::TooLarge("bytes in one part", PART_BYTES_MAX));
    }
    let text = String::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8".into()))?;
    Ok(Some(text))
}

/// The part that the workbook's first sheet is in.
fn first_sheet(archive: &mut Archive<'_>) -> Result<String, Problem> {
    let usual = "xl/worksheets/sheet1.xml".to_owned();
    let (Some(workbook), Some(relations)) =
        (part(archive, "xl/workbook.xml")?, part(archive, "xl/_rels/workbook.xml.rels")?)
    else {
        return Ok(usual);
    };
    let mut wanted = None;
    walk(&workbook, |step| {
        if let Step::Open("sheet", start) = step
            && wanted.is_none()
        {
            wanted = attribute(start, "id");
        }
        Ok(())
    })?;
    let mut found = None;
    walk(&relations, |step| {
        if let Step::Open("Relationship", start) = step
            && found.is_none()
            && attribute(start, "Id") == wanted
        {
            found = attribute(start, "Target");
        }
        Ok(())
    })?;
    Ok(found.map_or(usual, |target| match target.strip_prefix('/') {
        Some(absolute) => absolute.to_owned(),
        None => format!("xl/{target}"),
    }))
}

/// The texts that cells name by number. Phonetic readings are left out.
fn shared_texts(text: &str) -> Result<Vec<String>, Problem> {
    let (mut texts, mut current, mut is_text, mut phonetic) =
        (Vec::new(), String::new(), false, 0_usize);
    walk(text, |step| {
        match step {
            Step::Open("si", _) => current.clear(),
            Step::Open("rPh", _) => phonetic += 1,
            Step::Close("rPh") => phonetic = phonetic.saturating_sub(1),
            Step::Open("t", _) => is_text = phonetic == 0,
            Step::Close("t") => is_text = false,
            Step::Text(piece) if is_text => add(&mut current, piece)?,
            Step::Close("si") => {
                if texts.len() >= TEXTS_MAX {
                    return Err(Problem::TooLarge("texts", TEXTS_MAX as u64));
                }
                texts.push(std::mem::take(&mut current));
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(texts)
}

/// Lengthens a cell's text within its bound.
fn add(text: &mut String, piece: &str) -> Result<(), Problem> {
    if text.len() + piece.len() > CHARS_MAX * 4 {
        return Err(Problem::TooLarge("characters in one cell", CHARS_MAX as u64));
    }
    text.push_str(piece);
    Ok(())
}

/// A cell while it is read.
#[derive(Default)]
struct Cell {
    column: usize,
    kind: String,
    text: String,
    is_text: bool,
}

fn cells(text: &str, texts: &[String]) -> Result<Sheet, Problem> {
    let mut rows: BTreeMap<usize, BTreeMap<usize, String>> = BTreeMap::new();
    let (mut row, mut cell, mut bytes) = (0_usize, Cell::default(), 0_u64);
    walk(text, |step| {
        match step {
            Step::Open("row", start) => {
                let told = attribute(start, "r").and_then(|number| number.parse().ok());
                row = told.unwrap_or(row + 1);
                cell.column = 0;
            }
            Step::Open("c", start) => {
                let told = attribute(start, "r").and_then(|name| column_of(&name));
                cell.column = told.unwrap_or(cell.column + 1);
                cell.kind = attribute(start, "t").unwrap_or_default();
                cell.text.clear();
            }
            // A formula's text is not its value.
            Step::Open("v" | "t", _) => cell.is_text = true,
            Step::Close("v" | "t") => cell.is_text = false,
            Step::Text(piece) if cell.is_text => add(&mut cell.text, piece)?,
            Step::Close("c") if cell.kind == "e" && !cell.text.is_empty() => {
                return Err(Problem::Malformed(format!(
                    "row {row}: a cell is {}; mend it in the spreadsheet, or empty it",
                    cell.text.chars().take(20).collect::<String>()
                )));
            }
            Step::Close("c") if cell.column > CELLS_MAX && rows.keys().all(|at| *at == row) => {
                return Err(Problem::TooLarge("columns", CELLS_MAX as u64));
            }
            Step::Close("c") if cell.column <= CELLS_MAX && !cell.text.is_empty() => {
                let value = value(&cell, texts)
                    .ok_or_else(|| Problem::Malformed(format!("row {row}: a text is missing")))?;
                // Many cells may name one long text.
                bytes += value.len() as u64;
                if bytes > PART_BYTES_MAX {
                    return Err(Problem::TooLarge("bytes in its cells", PART_BYTES_MAX));
                }
                rows.entry(row).or_default().insert(cell.column, value);
                if rows.len() > ROWS_MAX + 1 {
                    return Err(Problem::TooLarge("rows", ROWS_MAX as u64));
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    // What has no title is of no use, and a lone cell far to the right would make many empty ones.
    let in_order = |cells: BTreeMap<usize, String>, columns: usize| {
        let last = cells.last_key_value().map_or(0, |(column, _)| *column).min(columns);
        let mut texts = vec![String::new(); last];
        for (column, text) in cells.into_iter().take_while(|(column, _)| *column <= last) {
            texts[column - 1] = text;
        }
        texts
    };
    let mut rows = rows.into_iter();
    let header = rows.next().map(|(_, cells)| in_order(cells, CELLS_MAX)).unwrap_or_default();
    let columns = header.len();
    let rows = rows.map(|(number, cells)| Row { number, cells: in_order(cells, columns) });
    Ok(Sheet { header, rows: rows.collect() })
}

/// What a cell says. `None`: it names a text that is not there.
fn value(cell: &Cell, texts: &[String]) -> Option<String> {
    match cell.kind.as_str() {
        "s" => texts.get(cell.text.trim().parse::<usize>().ok()?).map(|text| unguarded(text)),
        "b" => Some(if cell.text.trim() == "1" { "true" } else { "false" }.to_owned()),
        "inlineStr" | "str" => Some(unguarded(&cell.text)),
        _ => Some(cell.text.clone()),
    }
}

/// Every `_xHHHH_` of a text as the character it stands for (ECMA-376-1, 22.9.2.19, ST_Xstring).
fn unguarded(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("_x") {
        let character = coded(&rest[at..]);
        out.push_str(&rest[..at]);
        match character {
            Some(character) => {
                out.push(character);
                rest = &rest[at + CODED..];
            }
            None => {
                out.push_str("_x");
                rest = &rest[at + 2..];
            }
        }
    }
    out + rest
}

/// The same text, with what looks like such a code guarded by the code of its underscore.
fn guarded(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("_x") {
        out.push_str(&rest[..at]);
        out.push_str(if coded(&rest[at..]).is_some() { "_x005F_x" } else { "_x" });
        rest = &rest[at + 2..];
    }
    out + rest
}

/// Bytes of `_xHHHH_`.
const CODED: usize = 7;

/// The character of the code that a text begins with.
fn coded(text: &str) -> Option<char> {
    let digits = text.get(..CODED)?.strip_prefix("_x")?.strip_suffix('_')?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    char::from_u32(u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)?)
}

/// The number of a cell's column, from one: `B3` is in the second.
fn column_of(name: &str) -> Option<usize> {
    let letters = name.bytes().take_while(u8::is_ascii_alphabetic);
    let number = letters.take(4).fold(0_usize, |number, letter| {
        number * 26 + usize::from(letter.to_ascii_uppercase() - b'A') + 1
    });
    (number > 0).then_some(number)
}

/// A step through a part.
enum Step<'s> {
    Open(&'s str, &'s BytesStart<'s>),
    Close(&'s str),
    Text(&'s str),
}

/// Goes through an XML document; entities of its own are refused.
fn walk(text: &str, mut take: impl FnMut(Step<'_>) -> Result<(), Problem>) -> Result<(), Problem> {
    let entities = || Problem::Malformed("it has entities of its own".into());
    let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    reader.config_mut().expand_empty_elements = true;
    loop {
        let event = reader
            .read_event()
            .map_err(|error| Problem::Malformed(format!("it is no XML: {error}")))?;
        match event {
            Event::Start(start) => take(Step::Open(start.local_name().as_ref(), &start))?,
            Event::End(end) => take(Step::Close(end.local_name().as_ref()))?,
            Event::Text(text) => take(Step::Text(&text.xml10_content()))?,
            Event::CData(text) => take(Step::Text(&text.xml10_content()))?,
            Event::GeneralRef(name) => {
                let character = name.resolve_char_ref().ok().flatten().map(String::from);
                match &character {
                    Some(text) => take(Step::Text(text))?,
                    None => {
                        take(Step::Text(resolve_predefined_entity(&name).ok_or_else(entities)?))?;
                    }
                }
            }
            Event::DocType(_) => return Err(entities()),
            Event::Eof => return Ok(()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

/// An attribute by its name without a prefix.
fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut all = start.attributes().filter_map(Result::ok);
    let found = all.find(|attribute| attribute.key.local_name().as_ref() == name)?;
    Some(found.normalized_value(XmlVersion::Explicit1_0).ok()?.into_owned())
}

const CONTENT_TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"#;

const RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;

const WORKBOOK: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="tags" sheetId="1" r:id="rId1"/></sheets></workbook>"#;

const WORKBOOK_RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;

/// A workbook of one sheet, every cell a text: no spreadsheet computes any of them.
pub(super) fn write(sheet: &Sheet) -> Result<Vec<u8>, Problem> {
    let failed = |error: zip::result::ZipError| Problem::Malformed(error.to_string());
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in [
        ("[Content_Types].xml", CONTENT_TYPES),
        ("_rels/.rels", RELATIONS),
        ("xl/workbook.xml", WORKBOOK),
        ("xl/_rels/workbook.xml.rels", WORKBOOK_RELATIONS),
        ("xl/worksheets/sheet1.xml", &sheet_xml(sheet)?),
    ] {
        archive.start_file(name, SimpleFileOptions::default()).map_err(failed)?;
        archive
            .write_all(text.as_bytes())
            .map_err(|error| Problem::Malformed(error.to_string()))?;
    }
    Ok(archive.finish().map_err(failed)?.into_inner())
}

fn sheet_xml(sheet: &Sheet) -> Result<String, Problem> {
    let columns = sheet.header.len().max(1);
    // The first row stays in sight and has filters.
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<worksheet xmlns=\"http://\
         schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetViews><sheetView \
         workbookViewId=\"0\"><pane ySplit=\"1\" topLeftCell=\"A2\" activePane=\"bottomLeft\" \
         state=\"frozen\"/></sheetView></sheetViews><cols><col min=\"1\" max=\"{columns}\" \
         width=\"22\" customWidth=\"1\"/></cols><sheetData>"
    );
    let rows = std::iter::once(&sheet.header).chain(sheet.rows.iter().map(|row| &row.cells));
    for (number, cells) in (1..).zip(rows) {
        // Writing to a String does not fail.
        let _ = write!(xml, "<row r=\"{number}\">");
        for (at, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
            if cell.chars().count() > CHARS_MAX {
                return Err(Problem::TooLarge("characters in one cell", CHARS_MAX as u64));
            }
            let _ = write!(
                xml,
                "<c r=\"{}{number}\" t=\"inlineStr\"><is><t xml:space=\"preserve\">{}</t></is></c>",
                column_name(at),
                escape(guarded(cell))
            );
        }
        xml += "</row>";
    }
    xml += "</sheetData>";
    let last = column_name(columns - 1);
    let _ = write!(xml, "<autoFilter ref=\"A1:{last}{}\"/></worksheet>", sheet.rows.len() + 1);
    Ok(xml)
}

/// The letters of a column, from nought.
fn column_name(at: usize) -> String {
    let (mut name, mut rest) = (String::new(), at + 1);
    while rest > 0 {
        rest -= 1;
        name.insert(0, char::from(b'A' + u8::try_from(rest % 26).unwrap_or(0)));
        rest /= 26;
    }
    name
}
