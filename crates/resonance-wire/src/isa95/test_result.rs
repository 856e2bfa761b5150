//! TestResult (ISA-95 part 2, operations tests; B2MML-OperationsTest.xsd).

use super::{Answer, Element, properties};

/// The result as a test result: what a model found out about a part, where one is named, or else
/// about an asset.
pub(super) fn test_result(answer: &Answer<'_>) -> Element {
    let tested = answer.part_id.as_ref().unwrap_or(&answer.asset);
    let mut parts = vec![
        Element::leaf("ID", &*answer.id),
        Element::leaf("Description", properties::sentence(answer)).repeated(),
        Element::leaf("EvaluationDate", &*answer.source_time),
        Element::leaf("Expiration", &*answer.valid_until),
        properties::scope(answer),
        Element::leaf("TestableObjectID", &**tested),
    ];
    let verdict = answer.outputs.iter().find_map(|output| output.label.as_deref());
    parts.extend(verdict.map(|label| Element::leaf("EvaluatedCriterionResult", label)));
    for property in properties::of(answer) {
        let mut measurement = vec![Element::leaf("ID", property.id.clone())];
        if let Some(id) = property.semantic_id {
            measurement.push(Element::leaf("TestableObjectPropertyID", id).repeated());
        }
        measurement.push(Element::leaf("MeasurementDate", &*answer.source_time));
        measurement.extend(property.to_value());
        parts.push(Element::parent("PropertyMeasurement", measurement).repeated());
    }
    Element::parent("TestResult", parts).repeated()
}
