//! Why a command ends without having done its work, and the exit code that says so.

use std::process::ExitCode;

/// The exit codes, as the help text lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The check or the job failed.
    Failed = 1,
    /// The command line, the plant file or a model package was refused.
    Refused = 2,
    /// An internal error.
    Internal = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ends without having done its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// What was asked for makes no sense: the user's to mend.
    #[error("{0}")]
    Refused(String),
    /// What was asked for was tried and did not work.
    #[error("{0}")]
    Failed(String),
    /// Standard output is gone or full.
    #[error("standard output: {0}")]
    Output(std::io::Error),
    /// A mistake of the product.
    #[error("internal error: {0}; please report it")]
    Internal(String),
}

impl CliError {
    /// The exit code that says it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            // Whoever reads our output has had enough, as `resonance ... | head` does.
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Failed(_) | Self::Output(_) => Exit::Failed,
            Self::Refused(_) => Exit::Refused,
            Self::Internal(_) => Exit::Internal,
        }
    }

    /// Says it on standard error.
    pub(crate) fn report(self) -> ExitCode {
        let exit = self.exit();
        if exit != Exit::Done {
            super::output::say_failure(&self);
        }
        exit.into()
    }
}
