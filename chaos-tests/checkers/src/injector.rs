//! Dirties a clean stream as the world does: out of order within the declared disorder, repeated,
//! broken. Decided by a seed.

use rand::RngExt;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// A line that no contract allows, and a word that the rule's message must contain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// The bytes as sent.
    pub line: String,
    /// Names the field or the kind of failure.
    pub rule: &'static str,
}

/// A dirty stream, and what is in it.
pub struct Injected {
    /// What to send, in order.
    pub lines: Vec<String>,
    /// The events in it that are whole, once each.
    pub clean: Vec<String>,
    /// The events in it that are not.
    pub broken: Vec<Broken>,
    /// How many lines are repeats of an earlier one.
    pub repeats: usize,
}

/// Shuffles within two hours, repeats 5 % and breaks 1 %.
#[must_use]
pub fn inject(seed: u64, lines: &[String]) -> Injected {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut sent: Vec<(String, String)> = Vec::new();
    let (mut clean, mut broken, mut repeats) = (Vec::new(), Vec::new(), 0);
    for line in lines {
        let event: Value = serde_json::from_str(line).expect("a raw event is JSON");
        let at = event["departed_at"].as_str();
        // Where an event stands in time; a cancelled one where it should have departed.
        let order = at.or(event["scheduled_at"].as_str()).unwrap_or_default().to_owned();
        if at.is_some() && rng.random_bool(0.01) {
            let damage = damage(&mut rng, event, line);
            sent.push((order, damage.line.clone()));
            broken.push(damage);
            continue;
        }
        sent.push((order.clone(), line.clone()));
        if rng.random_bool(0.05) && at.is_some() {
            sent.push((order, line.clone()));
            repeats += 1;
        }
        clean.push(line.clone());
    }
    sent.sort();
    Injected { lines: shuffle(&mut rng, sent), clean, broken, repeats }
}

/// Moves each line by less than two hours: the lines of one stretch of two hours trade places.
fn shuffle(rng: &mut ChaCha8Rng, sent: Vec<(String, String)>) -> Vec<String> {
    let stretch = |order: &str| {
        let hour: u32 = order.get(11..13).and_then(|h| h.parse().ok()).unwrap_or(0);
        (order.get(..10).unwrap_or_default().to_owned(), hour / 2)
    };
    let mut lines = Vec::with_capacity(sent.len());
    for group in sent.chunk_by(|a, b| stretch(&a.0) == stretch(&b.0)) {
        let mut mixed: Vec<String> = group.iter().map(|(_, line)| line.clone()).collect();
        mixed.shuffle(rng);
        lines.extend(mixed);
    }
    lines
}

fn damage(rng: &mut ChaCha8Rng, mut event: Value, line: &str) -> Broken {
    let rule = match rng.random_range(0..4u32) {
        0 => {
            event["distance"] = json!(9_999);
            "distance"
        }
        1 => {
            event["dep_delay"] = json!("late");
            "dep_delay"
        }
        2 => {
            event.as_object_mut().expect("an object").remove("dest");
            "dest"
        }
        _ => {
            let half = line.len() / 2;
            return Broken { line: line[..half].to_owned(), rule: "JSON" };
        }
    };
    Broken { line: event.to_string(), rule }
}
