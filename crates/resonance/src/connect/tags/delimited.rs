//! Lists as CSV (RFC 4180): commas, semicolons or tabs, UTF-8.

use super::sheet::{Problem, Row, Sheet, guarded, unguarded};
use super::{CELLS_MAX, CHARS_MAX, ROWS_MAX};

const MARK: &str = "\u{feff}";

pub(super) fn read(bytes: &[u8]) -> Result<Sheet, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = bytes.iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        Problem::Malformed(format!(
            "line {line}: byte {at} is not UTF-8; save the list as \"CSV UTF-8\""
        ))
    })?;
    let text = text.strip_prefix(MARK).unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter(text))
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let (mut sheet, mut columns) = (Sheet::default(), CELLS_MAX);
    for record in reader.records() {
        let record = record.map_err(|error| Problem::Malformed(error.to_string()))?;
        let number = record.position().map_or(0, |position| position.line() as usize);
        if let Some(long) = record.iter().find(|cell| cell.chars().count() > CHARS_MAX) {
            let start: String = long.chars().take(20).collect();
            return Err(Problem::Malformed(format!(
                "line {number}: the cell that begins {start:?} is longer than {CHARS_MAX} \
                 characters; is a quote missing?"
            )));
        }
        let cells: Vec<String> =
            record.iter().take(columns).map(|cell| unguarded(cell).to_owned()).collect();
        if sheet.header.is_empty() {
            // What has no title is of no use.
            columns = cells.len();
            if record.len() > CELLS_MAX {
                return Err(Problem::TooLarge("columns", CELLS_MAX as u64));
            }
            sheet.header = cells;
            continue;
        }
        if sheet.rows.len() >= ROWS_MAX {
            return Err(Problem::TooLarge("rows", ROWS_MAX as u64));
        }
        sheet.rows.push(Row { number, cells });
    }
    Ok(sheet)
}

/// What stands most often in the first line between cells.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default().as_bytes();
    let count = |delimiter: &u8| header.iter().filter(|byte| *byte == delimiter).count();
    // The last of several that stand as often; a comma where there are none.
    [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

pub(super) fn write(sheet: &Sheet) -> Result<Vec<u8>, Problem> {
    let mut bytes = MARK.as_bytes().to_vec();
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        // A spreadsheet that takes other characters between cells finds none of them.
        .quote_style(csv::QuoteStyle::NonNumeric)
        .from_writer(&mut bytes);
    let rows = std::iter::once(&sheet.header).chain(sheet.rows.iter().map(|row| &row.cells));
    for cells in rows {
        writer
            .write_record(cells.iter().map(|cell| guarded(cell)))
            .map_err(|error| Problem::Malformed(error.to_string()))?;
    }
    writer.flush().map_err(|error| Problem::Malformed(error.to_string()))?;
    drop(writer);
    Ok(bytes)
}
