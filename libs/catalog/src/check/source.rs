//! Sources and entities.

use expr::Variable;
use lattice::Type;
use serde_saphyr::Spanned;

use super::scalars::{Checker, check_field, check_topic, parse_bytes, parse_type, type_name};
use crate::coerce::coerce;
use crate::definitions::{Contract, FieldRule, Format, SourceBody};
use crate::yaml;

const DAY_MS: i64 = 86_400_000;
const DEFAULT_ID_EVENTS: u64 = 1_000_000;
const MAX_ID_EVENTS: u64 = 100_000_000;
const DEFAULT_MAX_AHEAD_MS: i64 = 5 * 60_000;
const MIN_RETENTION_MS: i64 = 60_000;
const MIN_RETENTION_BYTES: u64 = 1 << 20;
const MAX_PARTITIONS: u32 = 1_024;

/// The join keys of an entity.
pub(crate) fn entity(
    checker: &mut Checker<'_>,
    name: &Spanned<String>,
    entity: &yaml::Entity,
) -> Option<Vec<String>> {
    let named = checker.name(name);
    let keys: Vec<&Spanned<String>> = match (&entity.join_key, &entity.join_keys) {
        (Some(key), None) => vec![key],
        (None, Some(keys)) if !keys.value.is_empty() => keys.value.iter().collect(),
        (None, Some(keys)) => {
            checker.error(keys, format!("`{}` has no join key; list one or more", name.value));
            return None;
        }
        _ => {
            checker.error(name, format!("`{}` needs `join_key` or `join_keys`", name.value));
            return None;
        }
    };
    for (i, key) in keys.iter().enumerate() {
        checker.ok(key, check_field(&key.value))?;
        if keys[..i].iter().any(|earlier| earlier.value == key.value) {
            checker.error(key, format!("`{}` is listed twice", key.value));
            return None;
        }
    }
    named.then(|| keys.iter().map(|key| key.value.clone()).collect())
}

/// The fields of a contract as expressions see them.
pub(crate) fn variables(contract: &Contract) -> Vec<Variable> {
    let variable = |field: &FieldRule| Variable {
        name: field.name.as_str().into(),
        kind: field.kind,
        nullable: field.nullable,
    };
    contract.fields.iter().map(variable).collect()
}

/// A source with its contract.
pub(crate) fn source(
    checker: &mut Checker<'_>,
    name: &Spanned<String>,
    source: &yaml::Source,
) -> Option<SourceBody> {
    let named = checker.name(name);
    let contract = contract(checker, name, source);
    let mut body = SourceBody::with_defaults(contract?);
    if let Some(n) = &source.partitions {
        if !(1..=MAX_PARTITIONS).contains(&n.value) {
            checker.error(n, format!("{} partitions; use 1 to {MAX_PARTITIONS}", n.value));
            return None;
        }
        body.partitions = n.value;
    }
    if let Some(written) = &source.retention {
        retention(checker, written, &mut body)?;
    }
    let (kept_ms, id_ms) = (body.retention_ms, body.contract.id_ms);
    if body.contract.id.is_some() && kept_ms <= id_ms {
        let at = source.retention.as_ref().and_then(|r| r.time.as_ref());
        let message = format!(
            "events leave the topic after {}, but ids are remembered for {}; keep events longer \
             than ids",
            clock::format_duration(kept_ms),
            clock::format_duration(id_ms)
        );
        checker.error(at.unwrap_or(name), message);
        return None;
    }
    named.then_some(body)
}

fn retention(
    checker: &mut Checker<'_>,
    written: &yaml::Retention,
    body: &mut SourceBody,
) -> Option<()> {
    body.retention_ms =
        checker.duration_ms(written.time.as_ref(), (MIN_RETENTION_MS, body.retention_ms))?;
    let Some(at) = &written.bytes else { return Some(()) };
    body.retention_bytes = checker.ok(at, parse_bytes(&at.value))?;
    if body.retention_bytes < MIN_RETENTION_BYTES {
        checker.error(at, format!("{} is too little; keep 1MiB or more", at.value));
        return None;
    }
    Some(())
}

fn contract(
    checker: &mut Checker<'_>,
    name: &Spanned<String>,
    source: &yaml::Source,
) -> Option<Contract> {
    let topic = match &source.topic {
        Some(topic) => checker.ok(topic, check_topic(&topic.value)).map(|()| &topic.value),
        None => Some(&name.value),
    };
    let fields = fields(checker, name, source);
    let event_time = checker.required(name, source.event_time.as_ref(), "event_time");
    let ids = id_window(checker, source.id_window.as_ref());
    let disorder_ms = checker.duration_ms(source.disorder.as_ref(), (0, 0));
    let max_ahead_ms = checker.duration_ms(source.max_ahead.as_ref(), (0, DEFAULT_MAX_AHEAD_MS));
    let (id_events, id_ms) = ids?;
    let format = match &source.format {
        Some(at) => checker.ok(at, Format::parse(&at.value))?,
        None => Format::default(),
    };
    let mut contract = Contract {
        source: name.value.clone(),
        topic: topic?.clone(),
        event_time: event_time?.value.clone(),
        id: source.id.as_ref().map(|id| id.value.clone()),
        id_events,
        id_ms,
        disorder_ms: disorder_ms?,
        max_ahead_ms: max_ahead_ms?,
        skip: None,
        format,
        fields: fields?,
    };
    let kind_of = |field: &str| contract.fields.iter().find(|f| f.name == field).map(|f| f.kind);
    let event_time = event_time?;
    if kind_of(&event_time.value) != Some(Type::Timestamp) {
        checker.error(event_time, needs(&event_time.value, "event_time", "timestamp"));
        return None;
    }
    if let Some(id) = &source.id
        && !matches!(kind_of(&id.value), Some(Type::String | Type::Int))
    {
        checker.error(id, needs(&id.value, "id", "string or int"));
        return None;
    }
    if let Some(skip) = &source.skip {
        contract.skip = Some(checker.condition(skip, &variables(&contract))?);
    }
    Some(contract)
}

fn needs(field: &str, key: &str, kind: &str) -> String {
    format!("`{key}: {field}` must be a field of type {kind} of this source")
}

fn id_window(checker: &mut Checker<'_>, window: Option<&yaml::IdWindow>) -> Option<(u64, i64)> {
    let ms = checker.duration_ms(window.and_then(|w| w.time.as_ref()), (0, DAY_MS))?;
    match window.and_then(|w| w.events.as_ref()) {
        Some(n) if !(1..=MAX_ID_EVENTS).contains(&n.value) => {
            checker.error(n, format!("{} events; use 1 to {MAX_ID_EVENTS}", n.value));
            None
        }
        n => Some((n.map_or(DEFAULT_ID_EVENTS, |n| n.value), ms)),
    }
}

fn fields(
    checker: &mut Checker<'_>,
    name: &Spanned<String>,
    source: &yaml::Source,
) -> Option<Vec<FieldRule>> {
    let fields = checker.required(name, source.fields.as_ref(), "fields")?;
    let checked: Vec<_> = fields.0.iter().map(|(name, field)| rule(checker, name, field)).collect();
    let mut checked = checked.into_iter().collect::<Option<Vec<_>>>()?;
    checked.sort_by(|a, b| a.name.cmp(&b.name));
    Some(checked)
}

fn rule(
    checker: &mut Checker<'_>,
    name: &Spanned<String>,
    field: &Spanned<yaml::Field>,
) -> Option<FieldRule> {
    checker.ok(name, check_field(&name.value))?;
    let rules = match &field.value {
        yaml::Field::Short(text) => {
            let (kind, nullable) = checker.ok(field, parse_type(text))?;
            return Some(plain(&name.value, kind, nullable));
        }
        yaml::Field::Rules(rules) => rules,
    };
    let text = checker.required(name, rules.kind.as_ref(), "type")?;
    let (kind, nullable) = checker.ok(text, parse_type(&text.value))?;
    let range = match &rules.range {
        Some(range) => Some(bounds(checker, range, kind)?),
        None => None,
    };
    let one_of = match &rules.one_of {
        Some(list) => allowed(checker, list, kind)?,
        None => Vec::new(),
    };
    let violation_is_null = match &rules.on_violation {
        Some(at) => becomes_null(checker, at, &name.value, text, nullable)?,
        None => false,
    };
    Some(FieldRule { range, one_of, violation_is_null, ..plain(&name.value, kind, nullable) })
}

/// Whether a value that breaks a rule is taken as null, rather than the event dead-lettered.
fn becomes_null(
    checker: &mut Checker<'_>,
    at: &Spanned<Option<String>>,
    field: &str,
    kind: &Spanned<String>,
    nullable: bool,
) -> Option<bool> {
    match at.value.as_deref() {
        Some("dead_letter") => Some(false),
        None | Some("null") if nullable => Some(true),
        None | Some("null") => {
            checker
                .error(at, format!("`{field}` cannot become null; write `type: {}?`", kind.value));
            None
        }
        Some(other) => {
            checker.error(at, format!("`{other}` is no choice; write dead_letter or null"));
            None
        }
    }
}

fn plain(name: &str, kind: Type, nullable: bool) -> FieldRule {
    let name = name.to_owned();
    FieldRule { name, kind, nullable, range: None, one_of: Vec::new(), violation_is_null: false }
}

fn bounds(
    checker: &mut Checker<'_>,
    range: &Spanned<(f64, f64)>,
    kind: Type,
) -> Option<(f64, f64)> {
    let (low, high) = range.value;
    if !matches!(kind, Type::Int | Type::Double) {
        checker.error(range, format!("a {} has no range; use `in`", type_name(kind)));
        return None;
    }
    if !(low.is_finite() && high.is_finite() && low <= high) {
        checker.error(range, "a range is [least, greatest], both finite numbers");
        return None;
    }
    Some((low, high))
}

fn allowed(
    checker: &mut Checker<'_>,
    list: &Spanned<Vec<Spanned<String>>>,
    kind: Type,
) -> Option<Vec<serde_json::Value>> {
    if !matches!(kind, Type::String | Type::Int) || list.value.is_empty() {
        checker.error(list, "`in` lists one or more values of a string or an int");
        return None;
    }
    let mut values = Vec::with_capacity(list.value.len());
    for item in &list.value {
        let text = serde_json::Value::from(item.value.as_str());
        let value = coerce(kind, &text).map_err(|error| error.to_string());
        values.push(match checker.ok(item, value)? {
            lattice::Value::Int(n) => n.into(),
            _ => text,
        });
    }
    values.sort_by(|a, b| (a.as_i64(), a.as_str()).cmp(&(b.as_i64(), b.as_str())));
    values.dedup();
    Some(values)
}
