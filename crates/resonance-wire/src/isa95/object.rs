//! Which ISA-95 object a result becomes.

use std::fmt;

use resonance_plant::ModelCategory;

use super::Answer;

/// An ISA-95 object that carries a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// What was found out about something (part 2, operations tests): for the record.
    TestResult,
    /// Something that somebody should look at (part 4, work alerts).
    WorkAlert,
    /// Work of the type Maintenance that is asked for (part 4, work schedule).
    MaintenanceRequest,
    /// Work of the type Production that is proposed, with its parameters (part 4, job order).
    JobOrderProposal,
}

impl Object {
    /// The object that results of a category become: the category's own file says it, by the name
    /// of the B2MML element that is asked for.
    pub fn of_category(category: ModelCategory) -> Self {
        match category.definition().expressed_as.isa95.as_str() {
            "WorkAlert" => Self::WorkAlert,
            "WorkRequest" => Self::MaintenanceRequest,
            "JobOrder" => Self::JobOrderProposal,
            // Every other result is for the record; a test holds the files against this list.
            _ => Self::TestResult,
        }
    }

    /// The element that category files name.
    pub const fn element(self) -> &'static str {
        match self {
            Self::TestResult => "TestResult",
            Self::WorkAlert => "WorkAlert",
            Self::MaintenanceRequest => "WorkRequest",
            Self::JobOrderProposal => "JobOrder",
        }
    }

    /// The object a result becomes: that of its category, if it is good enough to act on.
    /// A result that is bad, computed from history or not by the deployment's own model never
    /// alarms and never asks for work: it is kept as a test result.
    pub fn of(answer: &Answer<'_>) -> Self {
        if answer.backfilled || answer.status.is_bad() || answer.model.fallback.is_some() {
            return Self::TestResult;
        }
        Self::of_category(answer.category)
    }

    /// The name for people and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TestResult => "test_result",
            Self::WorkAlert => "work_alert",
            Self::MaintenanceRequest => "maintenance_request",
            Self::JobOrderProposal => "job_order_proposal",
        }
    }

    /// The noun of the message (part 5).
    pub const fn noun(self) -> &'static str {
        match self {
            Self::TestResult => "TestResult",
            Self::WorkAlert => "WorkAlert",
            Self::MaintenanceRequest | Self::JobOrderProposal => "WorkSchedule",
        }
    }

    /// The verb of the message (part 5): what is published is synchronised, what the receiver
    /// is to work on is to be processed.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::TestResult | Self::WorkAlert => "Sync",
            Self::MaintenanceRequest | Self::JobOrderProposal => "Process",
        }
    }

    /// The name of the message.
    pub const fn message(self) -> &'static str {
        match self {
            Self::TestResult => "SyncTestResult",
            Self::WorkAlert => "SyncWorkAlert",
            Self::MaintenanceRequest | Self::JobOrderProposal => "ProcessWorkSchedule",
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
