//! From a data item's type to the name of its observations' elements.

use super::devices::Representation;

/// Words that keep their capitals.
const ACRONYMS: &[(&str, &str)] =
    &[("AC", "AC"), ("DC", "DC"), ("PH", "PH"), ("MTCONNECT", "MTConnect")];

/// The element that carries observations of a type: `PATH_FEEDRATE` is `PathFeedrate`, and
/// `PathFeedrateTimeSeries` as a time series. A prefix such as `x:` stays.
pub fn element_name(data_item_type: &str, representation: Representation) -> String {
    let (prefix, name) = data_item_type.split_once(':').unwrap_or(("", data_item_type));
    let mut element = String::with_capacity(data_item_type.len() + 10);
    if !prefix.is_empty() {
        element.push_str(prefix);
        element.push(':');
    }
    for word in name.split('_') {
        if let Some((_, kept)) = ACRONYMS.iter().find(|(word_of, _)| *word_of == word) {
            element.push_str(kept);
            continue;
        }
        let mut letters = word.chars();
        element.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        element.extend(letters.map(|letter| letter.to_ascii_lowercase()));
    }
    element.push_str(match representation {
        Representation::Value | Representation::Discrete => "",
        Representation::TimeSeries => "TimeSeries",
        Representation::DataSet => "DataSet",
        Representation::Table => "Table",
    });
    element
}
