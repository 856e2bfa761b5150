//! WorkSchedule with one work request and one job order (ISA-95 part 4; B2MML-WorkSchedule.xsd).
//!
//! Part 5 exchanges work requests and job orders only inside of a work schedule or a job list, so
//! a request for maintenance and a proposal travel as a schedule of one. Both say `Forecast`: the
//! receiver decides whether the work becomes real.

use super::{Answer, Element, Object, properties};

/// The result as work that is asked for.
pub(super) fn work_schedule(answer: &Answer<'_>, object: Object) -> Element {
    let (kind, requirement) = match object {
        Object::MaintenanceRequest => ("Maintenance", physical_asset(answer)),
        _ => ("Production", equipment(answer)),
    };
    let sentence = properties::sentence(answer);
    let described = || Element::leaf("Description", sentence.clone()).repeated();
    let mut order = vec![
        Element::leaf("ID", &*answer.id),
        described(),
        Element::leaf("PublishedDate", &*answer.computed_at),
        properties::scope(answer),
        Element::leaf("WorkType", kind),
        Element::leaf("DispatchStatus", "Pending"),
    ];
    for property in properties::of(answer) {
        let mut children = vec![Element::leaf("ID", property.id.clone())];
        children.extend(property.to_value().map(Element::repeated));
        order.push(Element::parent("JobOrderParameter", children).repeated());
    }
    order.push(requirement);
    let request = vec![
        Element::leaf("ID", &*answer.id),
        described(),
        properties::scope(answer),
        Element::leaf("WorkType", kind),
        Element::leaf("RequestState", "Forecast"),
        Element::parent("JobOrder", order).repeated(),
    ];
    let schedule = vec![
        Element::leaf("ID", &*answer.id),
        described(),
        Element::leaf("PublishedDate", &*answer.computed_at),
        properties::scope(answer),
        Element::leaf("WorkType", kind),
        Element::leaf("ScheduleState", "Forecast"),
        Element::parent("WorkRequest", request).repeated(),
    ];
    Element::parent("WorkSchedule", schedule).repeated()
}

/// Maintenance is of the thing itself: the machine that fills the asset's role, where it is known.
fn physical_asset(answer: &Answer<'_>) -> Element {
    let machine = answer.physical_asset_id.as_ref().unwrap_or(&answer.asset);
    let parts = vec![
        Element::leaf("ID", &*answer.asset),
        Element::leaf("PhysicalAssetID", &**machine).repeated(),
    ];
    Element::parent("PhysicalAssetRequirement", parts).repeated()
}

/// Production needs its role.
fn equipment(answer: &Answer<'_>) -> Element {
    let parts = vec![
        Element::leaf("ID", &*answer.asset),
        Element::leaf("EquipmentID", &*answer.asset).repeated(),
    ];
    Element::parent("EquipmentRequirement", parts).repeated()
}
