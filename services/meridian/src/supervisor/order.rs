//! In which order processes are stopped: who needs another one ends before it. A gateway still asks
//! its node for what has been asked of it, a node still commits what it has folded.

use std::collections::BTreeSet;

use super::{ProcessId, Role};

/// Processes that are to be stopped and have not been told yet.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    wanted: BTreeSet<ProcessId>,
}

impl Stops {
    /// These are to be stopped.
    pub(crate) fn want(&mut self, of: &[ProcessId]) {
        self.wanted.extend(of.iter().cloned());
    }

    /// These are not to be stopped, or are ended in another way.
    pub(crate) fn forget(&mut self, of: &[ProcessId]) {
        of.iter().for_each(|id| _ = self.wanted.remove(id));
    }

    /// Those whose turn it is, each once. `ending`: those that were told and are not gone.
    pub(crate) fn due(&mut self, ending: &[ProcessId]) -> Vec<ProcessId> {
        let last: BTreeSet<ProcessId> = self.wanted.iter().chain(ending).cloned().collect();
        let is_due = |id: &ProcessId| !last.iter().any(|other| needs(other, id));
        self.wanted.extract_if(.., |id| is_due(id)).collect()
    }
}

/// What mirrors reads the brokers of all regions.
fn needs(one: &ProcessId, other: &ProcessId) -> bool {
    match (one.role, other.role) {
        (Role::MirrorMaker | Role::Mirror, Role::Broker) => true,
        (Role::Node, Role::Broker) | (Role::Gateway, Role::Node | Role::Broker) => {
            one.region == other.region
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(region: &str, role: Role) -> ProcessId {
        ProcessId { region: region.into(), role, number: 1 }
    }

    #[test]
    fn who_needs_another_one_ends_before_it() {
        let [ewr, jfk] = ["ewr", "jfk"].map(|region| {
            [Role::Gateway, Role::Node, Role::MirrorMaker, Role::Broker]
                .map(|role| id(region, role))
        });
        let mut stops = Stops::default();
        stops.want(&ewr);
        stops.want(&jfk[2..]);
        let at_once = [ewr[0].clone(), ewr[2].clone(), jfk[2].clone()];
        let mut due = stops.due(&[]);
        due.sort_by_key(|id| (id.region.clone(), id.role != Role::Gateway));
        assert_eq!(due, at_once, "nobody needs them");
        assert_eq!(stops.due(&at_once), [], "each once, and the others wait for them");
        assert_eq!(stops.due(&at_once[1..]), [ewr[1].clone()], "its gateway is gone");
        assert_eq!(stops.due(&[ewr[1].clone()]), [jfk[3].clone()], "no mirror is left");
        stops.forget(&ewr);
        assert_eq!(stops.due(&[]), [], "it is not to be stopped any more");
    }
}
