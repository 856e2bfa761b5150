use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use resonance_plant::DataType;

use super::*;

/// Rows of a row group.
const GROUP: usize = 20;

/// Two row groups.
fn write(file: &Path) {
    let schema = "message m { required double load; required binary state (UTF8); \
                  required binary raw; repeated double window; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer =
        SerializedFileWriter::new(File::create(file).unwrap(), schema, properties).unwrap();
    for group in 0..2 {
        let numbers: Vec<f64> = (0..GROUP).map(|row| (group * GROUP + row) as f64).collect();
        let texts = vec![ByteArray::from("on"); GROUP];
        let mut rows = writer.next_row_group().unwrap();
        let mut column = rows.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&numbers, None, None).unwrap();
        column.close().unwrap();
        for _ in 0..2 {
            let mut column = rows.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
            column.close().unwrap();
        }
        let mut column = rows.next_column().unwrap().unwrap();
        let levels = [0; GROUP];
        column.typed::<DoubleType>().write_batch(&[], Some(&levels), Some(&levels)).unwrap();
        column.close().unwrap();
        rows.close().unwrap();
    }
    writer.close().unwrap();
}

/// How many rows come before the end or what is damaged.
fn rows(file: &Path) -> Result<(u64, Option<String>), TableError> {
    let mut rows = ParquetRows::open(file)?;
    let mut problem = None;
    while let Some(row) = rows.next_row() {
        match row.map(<[String]>::len) {
            Ok(fields) => assert!((1..=4).contains(&fields), "{fields} fields"),
            Err(said) => problem = Some(said),
        }
    }
    Ok((rows.row(), problem))
}

#[test]
fn rows_are_texts_and_what_has_no_form_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.parquet");
    write(&file);
    let mut table = ParquetRows::open(&file).unwrap();
    let types: Vec<_> = table.types().collect();
    assert_eq!(types, [("load", DataType::Float64), ("state", DataType::String)]);
    let left_out: Vec<_> =
        table.left_out().iter().map(|one| (one.name.as_str(), one.holds.as_str())).collect();
    assert_eq!(left_out, [("raw", "BYTE_ARRAY"), ("window", "lists of DOUBLE")]);
    assert_eq!(table.next_row().unwrap().unwrap(), ["0", "on"]);
    assert_eq!(table.next_row().unwrap().unwrap(), ["1", "on"]);
    table.rewind().unwrap();
    assert_eq!(table.next_row().unwrap().unwrap(), ["0", "on"]);
    assert_eq!(rows(&file).unwrap(), (2 * GROUP as u64, None));
}

#[test]
fn what_is_damaged_anywhere_is_told_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.parquet");
    write(&file);
    let whole = fs::read(&file).unwrap();
    for cut in (0..whole.len()).step_by(7) {
        fs::write(&file, &whole[..cut]).unwrap();
        assert!(rows(&file).is_err(), "cut after {cut} of {} bytes", whole.len());
    }
    let mut told = 0;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= [0xff, 0x80, 0x01][at % 3];
        fs::write(&file, bytes).unwrap();
        // A value or a name may be another one; nothing else may happen.
        let read = rows(&file);
        told += u32::from(!matches!(read, Ok((rows, None)) if rows == 2 * GROUP as u64));
    }
    assert!(told > 50, "{told} were told");
}

#[test]
fn a_panic_of_the_library_is_an_answer_and_ours_are_still_printed() {
    let printed = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counts = Arc::clone(&printed);
    // As a program that shows panics in its own way, whichever came first.
    let _ = guarded(|| Ok(()));
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<&str>() == Some(&"ours") {
            counts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        } else {
            before(panic);
        }
    }));
    let said = guarded::<()>(|| panic!("index out of bounds")).unwrap_err().to_string();
    assert!(said.contains("contradict"), "{said}");
    let ours = std::panic::catch_unwind(|| panic!("ours"));
    assert!(ours.is_err());
    assert_eq!(printed.load(std::sync::atomic::Ordering::Relaxed), 1);
}
