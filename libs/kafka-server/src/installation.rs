//! The jars that `make kafka` fetched, and how a JVM is started with them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::KafkaError;

/// Small, and quick to start: these processes are many on one machine, and live for minutes.
const JVM: [&str; 5] =
    ["-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto"];

/// Kafka, ready to be started.
#[derive(Debug, Clone)]
pub struct Installation {
    class_path: OsString,
}

impl Installation {
    /// Kafka's jars in `home`/libs, and a Java to run them.
    ///
    /// # Errors
    /// Either is missing; the error says how to get it.
    pub fn find(home: &Path) -> Result<Self, KafkaError> {
        let mut jars = jars(&home.join("libs"));
        if !jars.iter().any(|jar| name(jar).starts_with("kafka-server-")) {
            return Err(KafkaError::NoJars(home.to_owned()));
        }
        // The order decides who wins; a directory gives none.
        jars.sort();
        let mut java = Command::new("java");
        let java = java.arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        java.map_err(KafkaError::NoJava)?;
        let jars: Vec<&OsStr> = jars.iter().map(|jar| jar.as_os_str()).collect();
        Ok(Self { class_path: jars.join(OsStr::new(":")) })
    }

    /// A JVM that runs `main` with at most this much memory for objects, MB.
    #[must_use]
    pub fn java(&self, main: &str, heap_mb: u32) -> Command {
        let mut java = Command::new("java");
        java.arg(format!("-Xmx{heap_mb}m"))
            .args(JVM)
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .arg("-Dorg.slf4j.simpleLogger.showDateTime=true")
            .arg("-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS")
            .arg("-cp")
            .arg(&self.class_path)
            .arg(main)
            .stdin(Stdio::null());
        java
    }
}

fn jars(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let jars = entries.map(|entry| entry.path());
    jars.filter(|path| path.extension().is_some_and(|e| e == "jar")).collect()
}

fn name(jar: &Path) -> String {
    jar.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
