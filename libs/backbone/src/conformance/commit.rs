//! Laws of `claim` and `commit`.

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::timeout;
use futures::FutureExt;
use futures::future::try_join_all;

use super::support::{Bench, Checked, case, check, numbered};
use super::{Broken, Case, Outcome};
use crate::log::{CommitError, Partition, Record, Retention, TopicSpec, Writer};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "commit-all",
            "a commit writes all its records, in order, in every partition",
            |bench| commit_all(bench).boxed(),
        ),
        case("commit-contiguous", "within a partition a commit is contiguous", |bench| {
            commit_contiguous(bench).boxed()
        }),
        case("commit-nothing-on-abort", "an aborted commit writes nothing, anywhere", |bench| {
            nothing_on_abort(bench).boxed()
        }),
        case("commit-empty", "a commit of nothing succeeds and writes nothing", |bench| {
            commit_empty(bench).boxed()
        }),
        case("claim-fences", "a claim fences every earlier writer of its name", |bench| {
            claim_fences(bench).boxed()
        }),
        case("claim-alone", "claims of other names go on", |bench| claim_alone(bench).boxed()),
        case(
            "claim-decides",
            "a claim returns when earlier commits are decided, all or nothing",
            |b| claim_decides(b).boxed(),
        ),
        case(
            "claim-contended",
            "of many claimants of one name, nothing is written twice or in part",
            |b| claim_contended(b).boxed(),
        ),
    ]
}

const KEPT: Retention = Retention::Delete { ms: i64::MAX, bytes: u64::MAX };

/// Two topics with two partitions each.
async fn four(bench: &Bench) -> Result<Vec<Partition>, Broken> {
    let mut partitions = Vec::new();
    for topic in ["a", "b"] {
        let name: Arc<str> = format!("{}-{topic}", bench.unique).into();
        let spec = TopicSpec { name: Arc::clone(&name), partitions: 2, retention: KEPT };
        bench.log.ensure(&spec).await?;
        partitions.extend((0..2).map(|index| Partition::new(Arc::clone(&name), index)));
    }
    Ok(partitions)
}

/// `count` records to every partition, the partitions taking turns.
fn everywhere(partitions: &[Partition], what: &str, count: usize) -> Vec<(Partition, Record)> {
    let to_all = |record: Record| partitions.iter().map(move |p| (p.clone(), record.clone()));
    numbered(what, count).into_iter().flat_map(to_all).collect()
}

/// Waits, by a claim, until everything written under the case's name is decided.
async fn decided(bench: &Bench) -> Result<Box<dyn Writer>, Broken> {
    Ok(bench.log.claim(&bench.unique).await?)
}

async fn contents(bench: &Bench, of: &[Partition]) -> Result<Vec<Vec<Record>>, Broken> {
    let mut all = Vec::new();
    for partition in of {
        all.push(bench.contents(partition).await?);
    }
    Ok(all)
}

async fn commit_all(bench: Bench) -> Checked {
    let partitions = four(&bench).await?;
    let mut writer = bench.log.claim(&bench.unique).await?;
    let mut expected = Vec::new();
    for what in ["one", "two", "three"] {
        writer.commit(everywhere(&partitions, what, 5)).await?;
        expected.extend(numbered(what, 5));
    }
    decided(&bench).await?;
    for (partition, found) in partitions.iter().zip(contents(&bench, &partitions).await?) {
        check!(found == expected, "{found:?} in {partition}");
    }
    Ok(Outcome::Passed)
}

async fn commit_contiguous(bench: Bench) -> Checked {
    let partitions = four(&bench).await?;
    let mut writer = bench.log.claim(&bench.unique).await?;
    let committing = async {
        for n in 0..5 {
            writer.commit(everywhere(&partitions, &format!("c{n}"), 4)).await?;
        }
        Ok::<_, Broken>(())
    };
    let appending = async {
        for _ in 0..20 {
            bench.log.append(&partitions[0], numbered("x", 1)).await?;
        }
        Ok::<_, Broken>(())
    };
    futures::future::try_join(committing, appending).await?;
    decided(&bench).await?;
    let mut commits: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for stored in bench.visible(&partitions[0]).await? {
        let value = stored.record.value.unwrap_or_default();
        let value = String::from_utf8_lossy(&value).into_owned();
        if let Some((commit, _)) = value.split_once('-').filter(|(commit, _)| *commit != "x") {
            commits.entry(commit.to_owned()).or_default().push(stored.offset);
        }
    }
    check!(commits.len() == 5, "{} commits of 5", commits.len());
    for (commit, offsets) in commits {
        let together = offsets.windows(2).all(|pair| pair[1] == pair[0] + 1);
        check!(together && offsets.len() == 4, "{commit} at {offsets:?}");
    }
    Ok(Outcome::Passed)
}

async fn nothing_on_abort(bench: Bench) -> Checked {
    let partitions = four(&bench).await?;
    let mut writer = bench.log.claim(&bench.unique).await?;
    let mut records = everywhere(&partitions, "bad", 2);
    records.push((Partition::new(Arc::clone(&partitions[0].topic), 9), Record::new("k", "v")));
    let outcome = writer.commit(records).await;
    check!(matches!(outcome, Err(CommitError::Aborted(_))), "{outcome:?}");
    writer.commit(everywhere(&partitions, "good", 2)).await?;
    decided(&bench).await?;
    for (partition, found) in partitions.iter().zip(contents(&bench, &partitions).await?) {
        check!(found == numbered("good", 2), "{found:?} in {partition}");
    }
    Ok(Outcome::Passed)
}

async fn commit_empty(bench: Bench) -> Checked {
    let partitions = four(&bench).await?;
    let mut writer = bench.log.claim(&bench.unique).await?;
    writer.commit(Vec::new()).await?;
    writer.commit(everywhere(&partitions, "v", 1)).await?;
    decided(&bench).await?;
    let found = contents(&bench, &partitions).await?;
    check!(found.iter().all(|records| records.len() == 1), "{found:?}");
    Ok(Outcome::Passed)
}

async fn claim_fences(bench: Bench) -> Checked {
    let partitions = four(&bench).await?;
    let (one, two) = (bench.harness.log().await, bench.harness.log().await);
    let mut old = one.claim(&bench.unique).await?;
    old.commit(everywhere(&partitions, "old", 1)).await?;
    let mut older = Vec::new();
    for round in 0..3 {
        let mut new = two.claim(&bench.unique).await?;
        let found = contents(&bench, &partitions).await?;
        check!(found.iter().all(|r| r.len() == round + 1), "{found:?} when the claim returned");
        older.push(old);
        for zombie in &mut older {
            let outcome = zombie.commit(everywhere(&partitions, "zombie", 2)).await;
            check!(outcome == Err(CommitError::Fenced), "{outcome:?} from a fenced writer");
        }
        new.commit(everywhere(&partitions, "new", 1)).await?;
        old = new;
    }
    decided(&bench).await?;
    let expected: Vec<Record> =
        [numbered("old", 1), numbered("new", 1), numbered("new", 1), numbered("new", 1)].concat();
    for (partition, found) in partitions.iter().zip(contents(&bench, &partitions).await?) {
        check!(found == expected, "{found:?} in {partition}");
    }
    Ok(Outcome::Passed)
}

async fn claim_alone(bench: Bench) -> Checked {
    let partitions = four(&bench).await?;
    let mut mine = bench.log.claim(&bench.unique).await?;
    let mut other = bench.log.claim(&format!("{}-other", bench.unique)).await?;
    mine.commit(everywhere(&partitions, "mine", 1)).await?;
    other.commit(everywhere(&partitions, "other", 1)).await?;
    mine.commit(everywhere(&partitions, "mine", 1)).await?;
    Ok(Outcome::Passed)
}

/// Commits that are dropped, at moments that spread over their course, then a claim.
async fn claim_decides(bench: Bench) -> Checked {
    let partitions = four(&bench).await?;
    for n in 0..20 {
        let mut writer = bench.log.claim(&bench.unique).await?;
        let before = contents(&bench, &partitions).await?;
        let what = format!("c{n}");
        let commit = writer.commit(everywhere(&partitions, &what, 3));
        let outcome = timeout(&bench.env, n / 2, commit).await;
        let mut next = bench.harness.log().await.claim(&bench.unique).await?;
        let after = contents(&bench, &partitions).await?;
        let grown = before.iter().zip(&after).map(|(before, after)| after.len() - before.len());
        let grown: Vec<usize> = grown.collect();
        let (all, nothing) = (vec![3; 4], vec![0; 4]);
        check!(grown == all || grown == nothing, "{grown:?} of 3 records in each of 4 partitions");
        check!(outcome != Ok(Ok(())) || grown == all, "a successful commit that is not visible");
        // Nothing of the old writer may come after the claim returned.
        next.commit(everywhere(&partitions, "mark", 1)).await?;
        decided(&bench).await?;
        let later = contents(&bench, &partitions).await?;
        let only_mark =
            after.iter().zip(&later).all(|(after, later)| later.len() == after.len() + 1);
        check!(only_mark, "records of a fenced commit after the claim returned");
    }
    Ok(Outcome::Passed)
}

/// Claimants that each try to write the next number, read from the log after their claim: the
/// pattern of a fold and of a mirror. With fencing the numbers have no gap and no repeat.
async fn claim_contended(bench: Bench) -> Checked {
    let partitions = four(&bench).await?;
    let claimant = |_| async {
        for _ in 0..5 {
            let mut writer = bench.harness.log().await.claim(&bench.unique).await?;
            let next = bench.visible(&partitions[0]).await?.len();
            let record = Record::new("k", next.to_string());
            let to_all = partitions.iter().map(|p| (p.clone(), record.clone())).collect();
            match writer.commit(to_all).await {
                Ok(()) | Err(CommitError::Fenced | CommitError::Unknown) => {}
                Err(error) => return Err(Broken::from(error)),
            }
        }
        Ok(())
    };
    try_join_all((0..4).map(claimant)).await?;
    decided(&bench).await?;
    let found = contents(&bench, &partitions).await?;
    let count = found[0].len();
    check!(count > 0, "nothing was ever committed");
    let expected: Vec<Record> = (0..count).map(|n| Record::new("k", n.to_string())).collect();
    for (partition, found) in partitions.iter().zip(found) {
        check!(found == expected, "{found:?} in {partition}");
    }
    Ok(Outcome::Passed)
}
