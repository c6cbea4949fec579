//! Three regions in one process: logs that survive, nodes that do not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use backbone::{Partition, Record, Tailer, TopicSpec};
use catalog::Catalog;
use lattice::{Frontier, Origin, PlanHash, Region, TopicId};
use node::Names;
use node::core::Core;
use node::shared::Identity;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use store::{MemoryCheckpoints, Store};
use testkit::{Faults, MemoryLog, Process, Sim};

use crate::events;
use crate::mirror_faults::LyingTailer;
use crate::reference::Reference;

/// The regions of every simulated mesh.
pub const REGIONS: [&str; 3] = ["ap", "eu", "us"];

/// Where a store's frontiers were when they were last looked at.
pub type Frontiers = BTreeMap<(u32, Origin, PlanHash), Frontier>;

/// One node of a region: a process that dies, and what of it is looked after.
pub struct Slot {
    /// Its process.
    pub process: Process,
    /// The running node, if it runs.
    pub core: Option<Core>,
    /// Its checkpoints: a disk, which survives.
    pub checkpoints: MemoryCheckpoints,
    /// Its frontiers when last checked: none may go back.
    pub frontiers: Frontiers,
    /// The tick of its store when last checked.
    pub tick: u64,
    /// When it is to be started or resumed again, ms of virtual time.
    pub due_ms: Option<u64>,
}

/// One region: a log and two nodes, which both try to fold.
pub struct Site {
    /// Its name.
    pub region: Region,
    /// Its log.
    pub log: MemoryLog,
    /// Its nodes.
    pub slots: Vec<Slot>,
}

/// A simulated mesh.
pub struct World {
    /// The executor.
    pub sim: Sim,
    /// The regions.
    pub sites: Vec<Site>,
    /// The catalog with everything that was ever applied.
    pub catalog: Catalog,
    /// The reference folds.
    pub references: BTreeMap<(Origin, PlanHash), Reference>,
    /// Frontiers checked so far.
    pub checked: u64,
    lying: Arc<AtomicBool>,
    lies: Arc<AtomicU64>,
    _producers: Vec<clock::Task>,
    producing: Arc<AtomicBool>,
}

impl World {
    /// A mesh with its first catalog, its producers at work and all its nodes running.
    pub fn new(seed: u64) -> Result<Self, String> {
        let sim = Sim::new(seed);
        let site = |region: &&str| Site {
            region: (*region).into(),
            log: MemoryLog::new(sim.env(), sim.random_u64(), Faults::none()),
            slots: (0..2).map(|i| Slot::new(&sim, &format!("{region}-{i}"))).collect(),
        };
        let sites: Vec<Site> = REGIONS.iter().map(site).collect();
        let mut world = Self {
            sim,
            sites,
            catalog: Catalog::default(),
            references: BTreeMap::new(),
            checked: 0,
            lying: Arc::new(AtomicBool::new(true)),
            lies: Arc::default(),
            _producers: Vec::new(),
            producing: Arc::new(AtomicBool::new(true)),
        };
        for site in &world.sites {
            site.log.make(&Names::default().catalog_spec());
        }
        world.apply(0, events::CATALOG)?;
        for site in &world.sites {
            for spec in
                world.catalog.sources().iter().flat_map(|s| Names::default().source_specs(s, 4))
            {
                site.log.make(&spec);
            }
        }
        world.make_references();
        for site in 0..REGIONS.len() {
            world.start(site, 0);
            world.produce(site);
        }
        for site in &world.sites {
            site.log.set_faults(|faults| *faults = Faults::rough());
        }
        Ok(world)
    }

    /// Applies a catalog in one region, as `meridian apply` does.
    pub fn apply(&mut self, site: usize, yaml: &str) -> Result<(), String> {
        let files = [("sim.yaml".to_owned(), yaml.to_owned())];
        let definitions = catalog::compile(&files).map_err(|errors| format!("{errors:?}"))?;
        let changes = catalog::changes(&definitions, &self.catalog, &REGIONS);
        let entries = changes.map_err(|errors| format!("{errors:?}"))?.entries;
        for (key, value) in &entries {
            self.catalog.insert(key, value).map_err(|error| error.to_string())?;
        }
        let records = entries.into_iter().map(|(key, value)| Record::new(key, value)).collect();
        let log = self.sites[site].log.client(self.sim.env());
        let task = async move {
            let mut records: Vec<Record> = records;
            // Entries are a set: to write them again after an error changes nothing.
            while log
                .append(&Partition::new(Names::default().catalog(), 0), records.clone())
                .await
                .is_err()
            {}
            records.clear();
        };
        self._producers.push(self.sim.env().spawn("apply", Box::pin(task)));
        self.make_references();
        Ok(())
    }

    fn make_references(&mut self) {
        for site in &self.sites {
            for plan in self.catalog.live(&site.region) {
                let Some(topic) = site.log.topic(&plan.source.topic) else { continue };
                for partition in 0..topic.partitions {
                    let topic = TopicId(topic.id);
                    let origin = Origin { region: site.region.clone(), topic, partition };
                    self.references
                        .entry((origin.clone(), plan.hash))
                        .or_insert_with(|| Reference::new(&origin, &plan, 4));
                }
            }
        }
    }

    /// Adds partitions to a site's source, as an operator of its log may at any time.
    pub fn grow(&mut self, site: usize, partitions: u32) {
        for source in self.catalog.sources() {
            let [events, ..] = Names::default().source_specs(&source, 4);
            self.sites[site].log.make(&TopicSpec { partitions, ..events });
        }
        self.make_references();
    }

    /// Deletes a site's source topic and makes it again, as an operator of its log may; events come
    /// again. What was appended before is in no log any more, and stays in every store.
    pub fn remake(&mut self, site: usize) {
        self.advance_references();
        self.sites[site].log.remake("clicks");
        self.make_references();
        self.producing.store(true, Ordering::Relaxed);
        self.produce(site);
    }

    /// Folds the references up to the ends of the logs.
    pub fn advance_references(&mut self) {
        for site in &self.sites {
            let Some(topic) = site.log.topic("clicks") else { continue };
            for partition in 0..topic.partitions {
                let events = site.log.history(&Partition::new("clicks", partition));
                let of_origin = self.references.iter_mut().filter(|((origin, _), _)| {
                    origin.region == site.region
                        && origin.topic.0 == topic.id
                        && origin.partition == partition
                });
                of_origin.for_each(|(_, reference)| reference.advance(&events));
            }
        }
    }

    /// Starts a node of a site in its process's present life.
    pub fn start(&mut self, site: usize, slot: usize) {
        let env = self.sites[site].slots[slot].process.env();
        let peers = self.sites.iter().filter(|peer| peer.region != self.sites[site].region);
        let peer = |peer: &Site| -> (Region, Arc<dyn Tailer>) {
            let tailer = LyingTailer::new(
                Arc::new(ReadOnly(peer.log.client(env.clone()))),
                env.clone(),
                self.lying.clone(),
                self.lies.clone(),
            );
            (peer.region.clone(), Arc::new(tailer))
        };
        let peers = peers.map(peer).collect();
        let identity = Identity {
            mesh: "sim".into(),
            region: self.sites[site].region.clone(),
            regions: REGIONS.iter().map(|region| Region::from(*region)).collect(),
            topics: Names::default(),
        };
        let log = self.sites[site].log.client(env.clone());
        let slot = &mut self.sites[site].slots[slot];
        let checkpoints = Arc::new(slot.checkpoints.clone());
        slot.frontiers = slot.saved_frontiers();
        slot.tick = u64::MAX;
        slot.core = Some(Core::start(identity, env, log, checkpoints, peers));
    }

    /// A producer that writes an event every so often, again when it is unsure.
    fn produce(&mut self, site: usize) {
        let env = self.sim.env();
        let (memory, log) =
            (self.sites[site].log.clone(), self.sites[site].log.client(env.clone()));
        let mut rng = ChaCha8Rng::seed_from_u64(self.sim.random_u64());
        let producing = self.producing.clone();
        let sleeper = env.clone();
        let task = async move {
            let mut serial = 0;
            while producing.load(Ordering::Relaxed) {
                serial += 1;
                let event = events::event(&mut rng, serial, sleeper.now_ms());
                let partitions = partitions(&memory);
                let index = lattice::shard_of(format!("e{serial}").as_bytes(), partitions);
                let again = rng.random_bool(0.05);
                let record = Record { value: Some(event.into()), ..Default::default() };
                for _ in 0..=u32::from(again) {
                    let to = Partition::new("clicks", index);
                    while log.append(&to, vec![record.clone()]).await.is_err() {}
                }
                sleeper.sleep_ms(rng.random_range(0..120)).await;
            }
        };
        self._producers.push(env.spawn("producer", Box::pin(task)));
    }

    /// No more events, and mirrors tell the truth.
    pub fn calm(&mut self) {
        self.producing.store(false, Ordering::Relaxed);
        self.lying.store(false, Ordering::Relaxed);
    }

    /// How often mirrors lied.
    #[must_use]
    pub fn mirror_faults(&self) -> u64 {
        self.lies.load(Ordering::Relaxed)
    }

    /// Events in all logs.
    #[must_use]
    pub fn events(&self) -> usize {
        let partitions = |site: &Site| -> usize {
            (0..site.partitions())
                .map(|p| site.log.history(&Partition::new("clicks", p)).len())
                .sum()
        };
        self.sites.iter().map(partitions).sum()
    }

    /// The stores of running nodes, with their names.
    pub fn stores(&self) -> impl Iterator<Item = (String, &Arc<Store>)> {
        self.sites.iter().flat_map(|site| {
            site.slots.iter().enumerate().filter_map(move |(index, slot)| {
                let store = slot.core.as_ref()?.shared().store()?;
                Some((format!("{}-{index}", site.region), store))
            })
        })
    }
}

impl Site {
    /// Partitions of its source now.
    #[must_use]
    pub fn partitions(&self) -> u32 {
        partitions(&self.log)
    }
}

fn partitions(log: &MemoryLog) -> u32 {
    log.topic("clicks").map_or(0, |topic| topic.partitions)
}

impl Slot {
    fn new(sim: &Sim, name: &str) -> Self {
        Self {
            process: sim.process(name),
            core: None,
            checkpoints: MemoryCheckpoints::default(),
            frontiers: Frontiers::new(),
            tick: u64::MAX,
            due_ms: None,
        }
    }

    /// Tells the node to hand over its partitions, as one that ends does.
    pub fn leave(&self) {
        if let Some(core) = &self.core {
            core.shared().leaving.send_replace(true);
        }
    }

    /// Whether it was told to.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.core.as_ref().is_some_and(|core| *core.shared().leaving.borrow())
    }

    /// The frontiers on its disk: what a restart must not fall behind.
    fn saved_frontiers(&self) -> Frontiers {
        let store = Store::new(4);
        let entries =
            self.checkpoints.entries().into_iter().filter(|(key, _)| key.first() != Some(&0));
        match store.load(entries) {
            Ok(()) => frontiers(&store),
            Err(_) => Frontiers::new(),
        }
    }
}

/// Every proven frontier of a store.
#[must_use]
pub fn frontiers(store: &Store) -> Frontiers {
    let of_shard = |shard| {
        store.states(shard).into_iter().filter_map(move |state| {
            let frontier = state.proven?.progress.frontier;
            Some(((shard, state.origin, state.plan), frontier))
        })
    };
    (0..store.shards()).flat_map(of_shard).collect()
}

/// The reading half of a log, as another region's mirror has it.
struct ReadOnly(Arc<dyn backbone::Log>);

#[async_trait::async_trait]
impl Tailer for ReadOnly {
    async fn topic(&self, name: &str) -> Result<Option<backbone::TopicInfo>, backbone::LogError> {
        self.0.topic(name).await
    }

    async fn bounds(&self, partition: &Partition) -> Result<backbone::Bounds, backbone::LogError> {
        self.0.bounds(partition).await
    }

    async fn tail(
        &self,
        from: Vec<(Partition, u64)>,
    ) -> Result<Box<dyn backbone::Tail>, backbone::LogError> {
        self.0.tail(from).await
    }
}
