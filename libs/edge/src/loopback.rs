//! Who may reach a port: while there is no TLS, this machine alone, unless its operator says otherwise.

use std::net::SocketAddr;

/// Checks the addresses of ports, by their names in the file.
///
/// # Errors
/// One that others could reach, and what allows it.
pub fn only_loopback(ports: &[(&str, SocketAddr)], allow_remote: bool) -> Result<(), String> {
    let remote = ports.iter().find(|(_, address)| !address.ip().is_loopback());
    match remote {
        Some((name, address)) if !allow_remote => Err(format!(
            "{name}: {address} is not a loopback address, and there is no TLS yet; \
             set allow_remote: true, or run with --allow-remote, if the network is trusted"
        )),
        _ => Ok(()),
    }
}
