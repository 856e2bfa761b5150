//! Lets clients in by our rules of trust. The OPC UA stack knows exact files only: it keeps whom it
//! does not know in a folder and looks for whom it knows in another. Those two are here, and what
//! is moved between them is decided by the [`TrustList`] (docs/adr/0006).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opcua::crypto::{CertificateStore, X509};
use resonance_plant::{Clock, Timestamp};
use tokio::time::MissedTickBehavior;

use super::options::Doorkeeper;
use crate::trust::{Certificate, Expected, Folder, Item, Peer, Place, Refusal, TrustList};

/// Where the stack's two folders are.
const STACK: &str = "admitted";

/// How often it is looked who came, and whether files changed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often everybody is judged anew, changes or none: certificates and lists run out.
const JUDGE_EVERY: Duration = Duration::from_secs(60);

/// A file that the stack has not finished is younger than this.
const UNFINISHED: Duration = Duration::from_secs(2);

/// Strangers that are remembered, so that each is told once.
const TOLD_MAX: usize = 256;

pub(crate) struct Admission {
    folder: Folder,
    stack: PathBuf,
    allow_unknown_revocation: bool,
    doorkeeper: Option<Arc<dyn Doorkeeper>>,
    clock: Arc<dyn Clock>,
    files: Vec<(PathBuf, Option<SystemTime>)>,
    judged: Option<Timestamp>,
    told: BTreeMap<String, Refusal>,
}

impl Admission {
    /// The folder that the stack is given.
    pub(crate) fn stack(folder: &Path) -> PathBuf {
        folder.join(STACK)
    }

    pub(crate) fn new(
        folder: &Path,
        allow_unknown_revocation: bool,
        doorkeeper: Option<Arc<dyn Doorkeeper>>,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let stack = Self::stack(folder);
        for name in ["trusted", "rejected"] {
            std::fs::create_dir_all(stack.join(name))?;
        }
        let folder = Folder::at(folder);
        let (files, told) = (Vec::new(), BTreeMap::new());
        let judged = None;
        let mut this = Self {
            folder,
            stack,
            allow_unknown_revocation,
            doorkeeper,
            clock,
            files,
            judged,
            told,
        };
        this.review();
        Ok(this)
    }

    /// Looks again and again, for ever.
    pub(crate) async fn watch(mut self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let looked = tokio::task::spawn_blocking(move || {
                self.review();
                self
            });
            match looked.await {
                Ok(this) => self = this,
                // The runtime ends.
                Err(_) => return,
            }
        }
    }

    /// Judges who came, and everybody where files changed or time passed.
    fn review(&mut self) {
        let now = self.clock.now();
        let files = self.present();
        let is_due = self.judged.is_none_or(|at| now.since(at) >= JUDGE_EVERY.as_nanos() as i64);
        let came = crate::trust::files(&self.stack.join("rejected"));
        if came.is_empty() && !is_due && files == self.files {
            return;
        }
        let list = self.folder.trust_list();
        if is_due || files != self.files {
            self.admitted_still(&list, now);
            (self.files, self.judged) = (files, Some(now));
        }
        for file in came {
            self.newcomer(&list, &file, now);
        }
    }

    fn present(&self) -> Vec<(PathBuf, Option<SystemTime>)> {
        let places = [Place::Trusted, Place::Issuers, Place::Crls];
        let files = places
            .iter()
            .flat_map(|place| crate::trust::files(&self.folder.path().join(place.name())));
        let changed = |file: &PathBuf| file.metadata().and_then(|data| data.modified()).ok();
        files.map(|file| (file.clone(), changed(&file))).collect()
    }

    /// Takes back whom the rules no longer admit, and admits whom they name.
    fn admitted_still(&mut self, list: &TrustList, now: Timestamp) {
        for (file, problem) in &list.unreadable {
            tracing::warn!(file = %file.display(), problem, "a file among certificates has no say");
        }
        for file in crate::trust::files(&self.stack.join("trusted")) {
            let Item::Certificate(it) = crate::trust::read(&file) else { continue };
            if let Err(refusal) = self.judge(list, &it, now) {
                remove(&file);
                self.refused(&it, refusal);
            }
        }
        for it in list.trusted.iter().filter(|it| !it.is_authority()) {
            match self.judge(list, it, now) {
                Ok(()) => self.admit(it),
                Err(refusal) => self.refused(it, refusal),
            }
        }
    }

    fn newcomer(&mut self, list: &TrustList, file: &Path, now: Timestamp) {
        let Item::Certificate(it) = crate::trust::read(file) else {
            let changed = file.metadata().and_then(|data| data.modified());
            if changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > UNFINISHED)) {
                remove(file);
            }
            return;
        };
        match self.judge(list, &it, now) {
            Ok(()) => self.admit(&it),
            Err(refusal) => {
                if let Err(error) = self.folder.keep_rejected(&it) {
                    tracing::warn!(%error, "a refused certificate is not kept");
                }
                self.refused(&it, refusal);
            }
        }
        // Else the stack refuses it for that it is there.
        remove(file);
    }

    fn judge(&self, list: &TrustList, it: &Certificate, now: Timestamp) -> Result<(), Refusal> {
        let expected = Expected {
            peer: Peer::Client,
            host: None,
            application_uri: None,
            allow_unknown_revocation: self.allow_unknown_revocation,
        };
        list.judge(it.der(), expected, now).map(|_| ())
    }

    fn admit(&mut self, it: &Certificate) {
        self.told.remove(&it.fingerprint());
        let Ok(known) = X509::from_der(it.der()) else { return };
        let file = self.stack.join("trusted").join(CertificateStore::cert_file_name(&known));
        if file.exists() {
            return;
        }
        let half = self.stack.join("admitted.part");
        let written = std::fs::write(&half, it.der()).and_then(|()| std::fs::rename(&half, &file));
        if let Err(error) = written {
            tracing::warn!(file = %file.display(), %error, "a client cannot be admitted");
        }
    }

    fn refused(&mut self, it: &Certificate, refusal: Refusal) {
        let print = it.fingerprint();
        let is_news = self.told.get(&print) != Some(&refusal);
        if let Some(doorkeeper) = &self.doorkeeper {
            doorkeeper.refused(it, &refusal, is_news);
        }
        if self.told.len() >= TOLD_MAX {
            self.told.pop_first();
        }
        self.told.insert(print, refusal);
    }
}

fn remove(file: &Path) {
    if let Err(error) = std::fs::remove_file(file) {
        tracing::warn!(file = %file.display(), %error, "a certificate's file cannot be removed");
    }
}
