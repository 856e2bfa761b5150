//! WorkAlert (ISA-95 part 4, work alerts; B2MML-WorkAlert.xsd).

use super::{Answer, Element, properties};

/// The result as an alert: valid from the moment it is about until it turns stale.
pub(super) fn work_alert(answer: &Answer<'_>) -> Element {
    let sentence = properties::sentence(answer);
    let mut parts = vec![
        Element::leaf("ID", &*answer.id),
        Element::leaf("PublishedDate", &*answer.computed_at),
        Element::leaf("EffectiveStartDate", &*answer.source_time),
        Element::leaf("EffectiveEndDate", &*answer.valid_until),
        Element::leaf("MessageText", sentence).repeated(),
        properties::scope(answer),
        Element::leaf("TimeStamp", &*answer.source_time),
        Element::leaf("Category", answer.category.name()),
    ];
    for property in properties::of(answer) {
        let mut children = vec![Element::leaf("ID", property.id.clone())];
        children.extend(property.to_value().map(Element::repeated));
        parts.push(Element::parent("WorkAlertProperty", children).repeated());
    }
    Element::parent("WorkAlert", parts).repeated()
}
