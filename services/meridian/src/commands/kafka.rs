//! `kafka`: what a mesh needs of Kafka, for those who run it themselves.

use std::collections::BTreeMap;
use std::path::Path;

use indexmap::IndexMap;

use crate::adapt;
use crate::cli::{KafkaArgs, KafkaCommand, TopicArgs};
use crate::error::{CliError, Result};
use crate::out;

/// Prints it.
///
/// # Errors
/// The catalog, or pairs that are none.
pub(super) fn run(args: &KafkaArgs) -> Result<()> {
    match &args.what {
        KafkaCommand::Topics { catalog, topics } => print_topics(catalog, topics),
        KafkaCommand::Mm2Config { kafka, replication, exactly_once, topics } => {
            let clusters: BTreeMap<String, String> = pairs(kafka)?.into_iter().collect();
            let names = adapt::node::names(topics);
            let text = adapt::kafka::mm2_config(clusters, &names, *replication, *exactly_once)?;
            out::line(text.trim_end());
            Ok(())
        }
    }
}

fn print_topics(catalog: &Path, topics: &TopicArgs) -> Result<()> {
    let definitions = adapt::catalog::compile(catalog)?;
    let mut table = out::table(["topic", "partitions", "mirrored", "settings"]);
    for topic in definitions.topics(&adapt::node::names(topics))? {
        let settings: Vec<String> =
            topic.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mirrored = if topic.mirrored { "yes" } else { "no" };
        table.add_row([
            topic.name.to_string(),
            topic.partitions.to_string(),
            mirrored.to_owned(),
            settings.join("\n"),
        ]);
    }
    out::line(table.to_string());
    Ok(())
}

/// `REGION=HOST:PORT`, each.
///
/// # Errors
/// Something else, or a region twice.
pub(super) fn pairs(texts: &[String]) -> Result<IndexMap<String, String>> {
    let mut clusters = IndexMap::new();
    for text in texts {
        let wrong = || CliError::Usage(format!("--kafka: '{text}' is not REGION=HOST:PORT"));
        let (region, bootstrap) = text.split_once('=').ok_or_else(wrong)?;
        if region.is_empty() || !bootstrap.contains(':') {
            return Err(wrong());
        }
        if clusters.insert(region.to_owned(), bootstrap.to_owned()).is_some() {
            return Err(CliError::Usage(format!("--kafka: region '{region}' is there twice")));
        }
    }
    Ok(clusters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_pairs() {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let found = pairs(&texts(&["ewr=h:1", "jfk=i:2"])).unwrap();
        assert_eq!((found["ewr"].as_str(), found["jfk"].as_str()), ("h:1", "i:2"));
        for wrong in [&["ewr"][..], &["=h:1"], &["ewr=h"], &["ewr=h:1", "ewr=h:2"]] {
            assert!(pairs(&texts(wrong)).unwrap_err().to_string().contains("--kafka"));
        }
    }
}
