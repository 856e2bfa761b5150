//! What surrounds the models: sources, sinks, servers, users and the spool.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use resonance_gateway::plan::{
    DeploymentPlan, HttpServerPlan, OpcUaServerPlan, ServersPlan, SinkKind, SinkPlan, SourceKind,
    SourcePlan, SpoolPlan, TlsPlan, UserPlan,
};
use resonance_gateway::recording::RecordingPlan;
use resonance_gateway::remote::RemoteConfig;
use resonance_gateway::secret::{self, SecretRef};
use resonance_gateway::sinks::http::HttpConfig;
use resonance_gateway::sinks::payload::Format;
use resonance_gateway::traces::TracesPlan;
use resonance_opcua::trust::Certificate;
use resonance_wire::isa95::Object;

use super::{Diagnostic, Mistake, Resolver, SourcePoints, with_points};
use crate::config::element::{Deployment, Sink, Source, Tls};

impl Resolver<'_, '_> {
    pub(super) fn sources(&mut self, points: SourcePoints) -> Vec<SourcePlan> {
        let mut plans = Vec::new();
        for (at, source) in self.file.sources.iter().enumerate() {
            let kind = match source {
                Source::Image(named) => {
                    let mut config = named.config.clone();
                    config.folder = config.folder.map(|folder| self.folder_of(&folder));
                    SourceKind::Image(config)
                }
                Source::Mtconnect(named) => {
                    let mut config = named.config.clone();
                    self.secret_exists("source", at, "password", config.password.as_mut());
                    config.ca_file = config.ca_file.map(|file| self.file_of(&file));
                    SourceKind::Mtconnect(config)
                }
                Source::Opcua(named) => {
                    let mut config = named.config.clone();
                    self.secret_exists("source", at, "password", config.password.as_mut());
                    config.pki = config.pki.map(|folder| self.folder_of(&folder));
                    self.secret_exists("source", at, "user_key", config.user_key.as_mut());
                    config.user_certificate =
                        config.user_certificate.map(|file| self.folder_of(&file));
                    SourceKind::Opcua(config)
                }
                Source::Replay(named) => {
                    let mut config = named.config.clone();
                    config.file = self.folder_of(&config.file);
                    SourceKind::Replay(config)
                }
            };
            plans.push(SourcePlan { id: source.id().into(), kind, points: Arc::from([]) });
        }
        with_points(plans.into_iter(), points)
    }

    pub(super) fn sinks(&mut self) -> Vec<SinkPlan> {
        let mut plans = Vec::new();
        for (at, sink) in self.file.sinks.iter().enumerate() {
            let kind = match sink {
                Sink::Http(named) => {
                    let mut config = named.config.clone();
                    self.secret_exists("sink", at, "password", config.password.as_mut());
                    self.secret_exists("sink", at, "token", config.token.as_mut());
                    config.ca_file = config.ca_file.map(|file| self.file_of(&file));
                    SinkKind::Http(config)
                }
                Sink::Mqtt(named) => {
                    let mut config = named.config.clone();
                    self.secret_exists("sink", at, "password", config.password.as_mut());
                    config.ca_file = config.ca_file.map(|file| self.file_of(&file));
                    SinkKind::Mqtt(config)
                }
            };
            plans.push(SinkPlan { id: sink.id().into(), kind });
        }
        plans
    }

    /// In B2MML a result may be an alert or a request: nobody wants one for every inference.
    pub(super) fn warn_of_every_result(
        &mut self,
        sinks: &[SinkPlan],
        deployments: &[Option<DeploymentPlan>],
    ) {
        let asks = deployments.iter().flatten().find_map(|deployment| {
            let object = Object::of_category(deployment.model.manifest.category);
            (object != Object::TestResult).then_some((&deployment.id, object))
        });
        let Some((deployment, object)) = asks else { return };
        for (at, sink) in sinks.iter().enumerate() {
            if sink.kind.format() == Format::Result || sink.kind.when().is_some() {
                continue;
            }
            let what = object.name().replace('_', " ");
            let message = format!("every result of {deployment:?} becomes a {what}");
            let remedy = "say which ones, such as when = { on = \"change\" }";
            let place = self.place("sink", at, "format");
            let told = Diagnostic::warning(Mistake::EveryResult, &place, message).remedy(remedy);
            self.out.push(told);
        }
    }

    pub(super) fn recording(&self) -> Option<RecordingPlan> {
        let record = self.file.record.as_ref()?;
        Some(RecordingPlan {
            folder: self.folder_of(&record.folder),
            bytes_max: record.bytes_max,
            file_bytes_max: record.file_bytes_max,
            file_age_max: Duration::from_secs(record.file_age_s_max.into()),
            observations: record.observations,
        })
    }

    pub(super) fn traces(&mut self) -> Option<TracesPlan> {
        let traces = self.file.traces.as_ref()?;
        let mut token = traces.token.clone();
        if let Some(reference) = &mut token {
            self.relative_to_folder(reference);
            if let Err(error) = secret::read(reference) {
                let node = self.root.get("traces").and_then(|table| table.get("token"));
                let place = node.map(|node| node.place).unwrap_or_default();
                self.secret_missing(&place, &error.to_string());
            }
        }
        let ca_file = traces.ca_file.as_ref().map(|file| self.folder_of(file));
        Some(TracesPlan {
            collector: HttpConfig {
                token,
                ca_file: ca_file.map(|file| file.display().to_string()),
                timeout_ms: traces.timeout_ms,
                ..HttpConfig::for_url(&traces.url)
            },
            ratio: traces.ratio,
            service_name: traces.service_name.clone(),
            every: Duration::from_millis(traces.every_ms.into()),
        })
    }

    pub(super) fn users(&mut self) -> Vec<UserPlan> {
        let file = self.file;
        let mut plans = Vec::new();
        for (at, user) in file.users.iter().enumerate() {
            let password_hash = user.password_hash.as_ref().map(|it| self.password_hash(at, it));
            let certificate = user.certificate.as_ref().map(|it| self.user_certificate(at, it));
            if password_hash.is_none() && certificate.is_none() {
                let place = self.place("user", at, "name");
                let message = "a user without a password and without a certificate";
                let lacks = Diagnostic::error(Mistake::MissingKey, &place, message);
                self.out.push(lacks.remedy("add `password_hash` or `certificate`"));
            }
            // What is there and cannot be used was told, and a user without it would be another.
            if password_hash == Some(None) || certificate == Some(None) {
                continue;
            }
            plans.push(UserPlan {
                name: user.name.as_str().into(),
                role: user.role,
                password_hash: password_hash.flatten(),
                certificate: certificate.flatten(),
            });
        }
        plans
    }

    fn password_hash(&mut self, at: usize, named: &SecretRef) -> Option<Arc<str>> {
        let mut reference = named.clone();
        self.relative_to_folder(&mut reference);
        let place = self.place("user", at, "password_hash");
        match secret::read(&reference) {
            Ok(hash) if !hash.starts_with("$argon2id$") => {
                let message = format!("what {} holds is no Argon2id hash", named.0);
                let wrong = Diagnostic::error(Mistake::InvalidValue, &place, message);
                self.out.push(wrong.remedy("make one with `resonance user hash`"));
                None
            }
            Ok(hash) => Some(hash.trim().into()),
            Err(error) => {
                self.secret_missing(&place, &error.to_string());
                None
            }
        }
    }

    fn user_certificate(&mut self, at: usize, file: &Path) -> Option<Arc<[u8]>> {
        let path = self.folder_of(file);
        let found = std::fs::read(&path).map_err(|error| error.to_string()).and_then(|bytes| {
            Certificate::from_file(&bytes).ok_or_else(|| "it is no certificate".into())
        });
        match found {
            Ok(certificate) => Some(certificate.der().into()),
            Err(problem) => {
                let place = self.place("user", at, "certificate");
                let message = format!("{}: {problem}", path.display());
                let wrong = Diagnostic::error(Mistake::MissingFile, &place, message);
                self.out.push(wrong.remedy("name a file with the user's certificate, DER or PEM"));
                None
            }
        }
    }

    pub(super) fn servers(&self) -> ServersPlan {
        let opcua = self.file.server.opcua.as_ref().map(|server| OpcUaServerPlan {
            listen: server.listen,
            connect_to: server.connect_to.clone(),
            host: server.host.clone().unwrap_or_else(|| match server.listen.ip() {
                ip if ip.is_loopback() => "localhost".into(),
                ip => ip.to_string(),
            }),
            allow_anonymous: server.allow_anonymous,
            allow_none: server.allow_none,
            pki: self.folder_of(&server.pki),
            allow_unknown_revocation: server.allow_unknown_revocation,
        });
        let http = self.file.server.http.as_ref().map(|server| HttpServerPlan {
            listen: server.listen,
            tls: server.tls.as_ref().map(|tls| self.tls(tls)),
            anonymous: server.anonymous,
            body_bytes_max: server.body_bytes_max as usize,
            request_timeout: Duration::from_millis(server.request_timeout_ms.into()),
            requests_max: server.requests_max as usize,
        });
        let grpc = self.file.server.grpc.as_ref().map(|server| HttpServerPlan {
            listen: server.listen,
            tls: server.tls.as_ref().map(|tls| self.tls(tls)),
            anonymous: server.anonymous,
            body_bytes_max: server.message_bytes_max as usize,
            request_timeout: Duration::from_millis(server.request_timeout_ms.into()),
            requests_max: server.requests_max as usize,
        });
        ServersPlan { opcua, http, grpc }
    }

    fn tls(&self, tls: &Tls) -> TlsPlan {
        let (certificate, key) = (self.folder_of(&tls.certificate), self.folder_of(&tls.key));
        TlsPlan { certificate, key }
    }

    pub(super) fn spool(&self) -> SpoolPlan {
        let spool = &self.file.spool;
        SpoolPlan {
            path: self.folder_of(&spool.path),
            bytes_max: spool.bytes_max,
            age_max: Duration::from_secs(spool.age_s_max.into()),
            drop: spool.drop,
        }
    }

    /// Makes a reference to a secret independent of where the process runs, and looks whether
    /// the secret is there. It is read again where it is used.
    fn secret_exists(
        &mut self,
        list: &str,
        at: usize,
        key: &str,
        reference: Option<&mut SecretRef>,
    ) {
        let Some(reference) = reference else { return };
        self.relative_to_folder(reference);
        if let Err(error) = secret::read(reference) {
            let place = self.place(list, at, key);
            self.secret_missing(&place, &error.to_string());
        }
    }

    fn file_of(&self, file: &str) -> String {
        self.folder_of(Path::new(file)).display().to_string()
    }

    /// A deployment's remote server, its files and secrets independent of where the process runs.
    pub(super) fn remote(&mut self, at: usize, deployment: &Deployment) -> Option<RemoteConfig> {
        let mut config = deployment.remote.clone()?;
        for (key, reference) in
            [("token", config.token.as_mut()), ("password", config.password.as_mut())]
        {
            let Some(reference) = reference else { continue };
            self.relative_to_folder(reference);
            if let Err(error) = secret::read(reference) {
                let place = self.place_in(at, "remote", key);
                self.secret_missing(&place, &error.to_string());
            }
        }
        config.ca_file = config.ca_file.map(|file| self.file_of(&file));
        Some(config)
    }

    fn relative_to_folder(&self, reference: &mut SecretRef) {
        if let Some(file) = reference.0.strip_prefix("file:") {
            let path = self.folder_of(Path::new(file));
            reference.0 = format!("file:{}", path.display());
        }
    }
}
