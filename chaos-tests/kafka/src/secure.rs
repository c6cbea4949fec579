//! A cluster that lets in only who has a certificate and knows a password.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kafka_server::{Broker, Process, free_ports};
use tempfile::TempDir;

use crate::cluster::installation;
use crate::tools::Tools;

/// Who may come in.
const USER: &str = "meridian";

/// A cluster of one broker. Its clients' listener is SASL_SSL (SCRAM-SHA-512), and wants
/// certificates of its own authority; a plain one is there for the broker itself.
pub struct SecureCluster {
    bootstrap: String,
    certificates: PathBuf,
    _process: Process,
    // After the process, which writes to it.
    _dir: TempDir,
}

impl SecureCluster {
    /// Starts one. `password` is the user's, `key_password` that of the key of its certificate.
    #[must_use]
    pub fn start(password: &str, key_password: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory for the broker");
        let certificates = dir.path().join("certificates");
        make_certificates(&certificates, key_password);
        let [plain, controller, secure] = free_ports().expect("free ports");
        let broker = Broker::new(dir.path(), plain, controller);
        let broker = settings(&certificates, [plain, controller, secure])
            .iter()
            .fold(broker, |broker, (name, value)| broker.with(name, value));
        let mut process = broker.start(&installation()).unwrap_or_else(|error| panic!("{error}"));
        process.wait_for(secure, 60).unwrap_or_else(|error| panic!("{error}"));
        let user = format!("SCRAM-SHA-512=[password={password}]");
        let args = ["--alter", "--entity-type", "users", "--entity-name", USER, "--add-config"];
        let tools = Tools::of(broker.bootstrap());
        _ = tools.run("kafka.admin.ConfigCommand", &[&args[..], &[&user]].concat());
        let bootstrap = format!("127.0.0.1:{secure}");
        Self { bootstrap, certificates, _process: process, _dir: dir }
    }

    /// `host:port` of the listener for clients.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    /// What a client's properties say, but for its passwords.
    #[must_use]
    pub fn properties(&self) -> BTreeMap<String, String> {
        let path = |name| self.certificates.join(name).display().to_string();
        let properties = [
            ("security.protocol", "SASL_SSL".to_owned()),
            ("sasl.mechanism", "SCRAM-SHA-512".to_owned()),
            ("sasl.username", USER.to_owned()),
            ("ssl.ca.location", path("ca.pem")),
            ("ssl.certificate.location", path("client.pem")),
            ("ssl.key.location", path("client.key")),
        ];
        properties.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

/// Of the broker, for its listeners plain, of the controller, and secure.
fn settings(
    certificates: &Path,
    [plain, controller, secure]: [u16; 3],
) -> Vec<(&'static str, String)> {
    let at = |name: &str, port: u16| format!("{name}://127.0.0.1:{port}");
    let both = format!("{},{}", at("PLAINTEXT", plain), at("SECURE", secure));
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let path = |name| certificates.join(name).display().to_string();
    vec![
        ("listeners", format!("{both},{}", at("CONTROLLER", controller))),
        ("advertised.listeners", both),
        (
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL".to_owned(),
        ),
        ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
        ("sasl.enabled.mechanisms", "SCRAM-SHA-512".to_owned()),
        ("listener.name.secure.scram-sha-512.sasl.jaas.config", scram.to_owned()),
        ("listener.name.secure.ssl.client.auth", "required".to_owned()),
        ("listener.name.secure.ssl.keystore.type", "PEM".to_owned()),
        ("listener.name.secure.ssl.keystore.location", path("server.both.pem")),
        ("listener.name.secure.ssl.truststore.type", "PEM".to_owned()),
        ("listener.name.secure.ssl.truststore.location", path("ca.pem")),
    ]
}

/// An authority, and what it signed: `server`, with its key in the same file, and `client`, whose
/// key has a password.
fn make_certificates(dir: &Path, key_password: &str) {
    std::fs::create_dir(dir).expect("a directory for certificates");
    let made = |name: &str, of_whom: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(dir).args(["req", "-x509", "-days", "2", "-newkey", "ec"]);
        openssl.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", &format!("/CN={name}")]);
        openssl.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]);
        let made = openssl.args(of_whom).stdin(Stdio::null()).output().expect("openssl runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    made("ca", &["-nodes"]);
    let signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE"];
    let of_server = ["-nodes", "-addext", "subjectAltName=IP:127.0.0.1"];
    made("server", &[&signed[..], &of_server].concat());
    made("client", &[&signed[..], &["-passout", &format!("pass:{key_password}")]].concat());
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).expect("what was made");
    std::fs::write(dir.join("server.both.pem"), read("server.key") + &read("server.pem"))
        .expect("a file");
}
