//! A steady stream of reads beside whatever a test does to the mesh.

use std::process::{Child, Stdio};

use serde_json::Value;

use crate::mesh::Mesh;

/// `meridian load`, running.
pub struct Load {
    child: Child,
}

impl Mesh {
    /// Starts to read one plane's features at a constant rate from these regions' gateways, the first
    /// that is there, and waits until some have been answered.
    pub fn load(&mut self, rate: u32, seconds: u32, regions: &[&str]) -> Load {
        let (rate, seconds) = (rate.to_string(), format!("{seconds}s"));
        let mut args = vec!["load", "plane_delays:delay_24h", "tailnum=N14228", "--json"];
        args.extend(["--rate", &rate, "--duration", &seconds]);
        regions.iter().for_each(|region| args.extend(["--region", region]));
        let before = self.reads(regions[0]);
        let command = &mut self.command(&args);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let load = Load { child: child.expect("meridian runs") };
        self.wait_until("reads are answered", |mesh| mesh.reads(regions[0]) > before);
        load
    }

    /// Reads over gRPC that a gateway has answered.
    fn reads(&self, region: &str) -> u64 {
        let lines = self.metrics(region).unwrap_or_default();
        let reads = lines.lines().filter(|line| {
            line.starts_with(r#"meridian_gateway_requests_total{call="GetFeatures""#)
                && line.contains(r#"status="OK""#)
        });
        reads.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }
}

impl Load {
    /// Whether it still reads.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end; what it says.
    #[must_use]
    pub fn end(self) -> Value {
        let output = self.child.wait_with_output().expect("load ends");
        assert!(output.status.success(), "load: {}", output.status);
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}
