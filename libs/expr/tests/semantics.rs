//! What expressions mean, by table and against a naive oracle that shares no code with the crate.

use expr::{Expr, MAX_BYTES, Variable};
use lattice::{Input, Type, Value};
use proptest::prelude::*;

fn variables() -> Vec<Variable> {
    [
        ("x", Type::Double),
        ("n", Type::Int),
        ("b", Type::Bool),
        ("s", Type::String),
        ("t", Type::Timestamp),
        ("c", Type::Bool),
    ]
    .map(|(name, kind)| Variable { name: name.into(), kind, nullable: true })
    .to_vec()
}

fn eval(text: &str, values: &[Input<'_>]) -> Value {
    Expr::check(text, &variables()).unwrap_or_else(|e| panic!("{text}: {e}")).eval(values)
}

fn refusal(text: &str) -> (String, Option<usize>) {
    let error = Expr::check(text, &variables()).expect_err(text);
    assert!(!error.message.contains('\n') && !error.message.is_empty(), "{text}: {error}");
    (error.message, error.offset)
}

#[test]
fn values_by_table() {
    let full = [
        Input::Float(2.5),
        Input::Int(7),
        Input::Bool(true),
        Input::Text("héllo"),
        Input::Time(1000),
        Input::Bool(false),
    ];
    let cases = [
        ("n / 2", Value::Float(3.5)),
        ("n % 4", Value::Float(3.0)),
        ("x + n * 2 - 1", Value::Float(15.5)),
        ("-x", Value::Float(-2.5)),
        ("x / 0", Value::Null),
        ("x % 0", Value::Null),
        ("ratio(x, 0)", Value::Null),
        ("ratio(n, 2)", Value::Float(3.5)),
        ("n == 7.0", Value::Bool(true)),
        ("n > 15", Value::Bool(false)),
        ("b ? x : n", Value::Float(2.5)),
        ("c ? x : null", Value::Null),
        ("s in [\"a\", 'héllo']", Value::Bool(true)),
        ("-n in [-7, 1]", Value::Bool(true)),
        ("!(n in [1, 2])", Value::Bool(true)),
        ("s.startsWith('h') && s.endsWith('o') && s.contains('éll')", Value::Bool(true)),
        ("size(s)", Value::Float(5.0)),
        ("s.size() == 5", Value::Bool(true)),
        ("s < 'i'", Value::Bool(true)),
        ("t < timestamp('1970-01-01T00:00:02Z')", Value::Bool(true)),
        ("abs(-x) + min(x, n) + max(x, n)", Value::Float(12.0)),
        ("s", Value::Text("héllo".into())),
        ("t", Value::Time(1000)),
    ];
    for (text, expected) in cases {
        assert_eq!(eval(text, &full), expected, "{text}");
    }
}

#[test]
fn nulls_by_table() {
    let nulls = [Input::Null; 6];
    let unknown = [
        "x + 1",
        "-x",
        "x < 1",
        "!b",
        "s in ['a']",
        "s.contains('a')",
        "size(s)",
        "b ? 1 : 2",
        "ratio(1, x)",
        "ratio(x, 1)",
        "t > timestamp('1970-01-01T00:00:00Z')",
        "b && true",
        "true && b",
        "b || false",
        "false || b",
        "b && c",
        "b || c",
        "abs(x)",
        "min(x, 1)",
    ];
    for text in unknown {
        assert_eq!(eval(text, &nulls), Value::Null, "{text}");
        assert_eq!(eval(text, &[]), Value::Null, "{text} over nothing");
    }
    for text in ["x == null", "s == s", "null == t", "b || true", "true || b", "x != 1"] {
        assert_eq!(eval(text, &nulls), Value::Bool(true), "{text}");
    }
    for text in ["x != null", "b && false", "false && b", "x == 1"] {
        assert_eq!(eval(text, &nulls), Value::Bool(false), "{text}");
    }
    let positive = Expr::check("x > 0", &variables()).unwrap();
    assert!(!positive.holds(&nulls));
    assert!(positive.holds(&[Input::Int(1)]));
}

/// `skip` sees values before the contract does.
#[test]
fn a_value_of_another_type_equals_nothing() {
    let wrong = [Input::Text("soon"), Input::Null, Input::Null, Input::Null, Input::Text("soon")];
    assert_eq!(eval("t == null", &wrong), Value::Bool(false));
    assert_eq!(eval("t < timestamp('1970-01-01T00:00:00Z')", &wrong), Value::Null);
    assert_eq!(eval("x + 1", &wrong), Value::Null);
}

#[test]
fn refusals_name_the_thing_and_the_place() {
    let cases = [
        ("x > speed", "`speed` is unknown; known: x, n, b, s, t, c", Some(4)),
        ("b && s > 3", "`>` between string and number", Some(7)),
        ("s + 'a'", "`+` wants a number, not string", Some(0)),
        ("x && b", "`&&` wants a bool, not number", Some(0)),
        ("x > null", "`> null` is always null; compare with == or !=", Some(2)),
        ("b ? 1 : 'a'", "`?:` between number and string", Some(2)),
        ("t > '2013-02-01'", "`>` between timestamp and string", Some(2)),
        ("x in s", "`in` wants a list of literals: [\"a\", \"b\"]", Some(5)),
        ("x in [1, n]", "a list holds literals only", Some(9)),
        ("x in [1, 'a']", "the list must hold numbers as before `in`, not string", Some(9)),
        ("null", "the expression is always null", Some(0)),
        ("has(x)", "has() is not needed: write `name != null`", Some(4)),
        ("x ==", "the expression ends too early", Some(4)),
        ("", "the expression ends too early", Some(0)),
        ("'é' == s @ b", "token recognition error at: '@'", Some(10)),
        ("s.name == 'a'", "`.name` reads a part of a value; fields are flat, name one", Some(1)),
    ];
    for (text, message, offset) in cases {
        assert_eq!(refusal(text), (message.to_owned(), offset), "{text}");
    }
    for text in ["now() > t", "t.getFullYear() > 2000.0"] {
        assert!(refusal(text).0.contains("reads a clock"), "{text}");
    }
    for text in ["[x].exists(y, y > 1)", "{'a': 1}", "foo(x)", "[1]", "b'x' == s", "1e999"] {
        refusal(text);
    }
}

#[test]
fn results_and_reads() {
    let expr = Expr::check("s == 'a' ? n : x + n", &variables()).unwrap();
    assert_eq!((expr.result(), expr.reads()), (Type::Double, &[0, 1, 3][..]));
    assert_eq!(format!("{expr:?}"), "s == 'a' ? n : x + n");
}

/// On the stack of a test's thread, 2 MB: a hundred thousand parentheses, and every way to build a
/// deep tree within the length allowed.
#[test]
fn depth_is_bounded() {
    refusal(&format!("{}x{}", "(".repeat(100_000), ")".repeat(100_000)));
    for (head, link) in [
        ("x", "+x"),
        ("b", "&&b"),
        ("x", "<x"),
        ("x", ".x"),
        ("x", "[0]"),
        ("b", "?b:b"),
        ("x", " in x"),
    ] {
        let chain = head.to_owned() + &link.repeat((MAX_BYTES - 1) / link.len());
        let _ = Expr::check(&chain, &variables());
    }
    for open in ["(", "[", "!", "-", "!-", "f(", "{", "-(", "min(x,"] {
        let _ = Expr::check(&open.repeat(MAX_BYTES / open.len()), &variables());
        refusal(&format!("{}!", open.repeat(MAX_BYTES / open.len() - 1)));
    }
    let sum = format!("x{}", "+x".repeat((MAX_BYTES - 1) / 2));
    assert_eq!(eval(&sum, &[Input::Float(1.0)]), Value::Float(512.0));
}

/// A numeric or boolean expression, as text and as what it should be.
#[derive(Clone, Debug)]
struct Oracle<T> {
    text: String,
    value: Option<T>,
}

const X: [Option<f64>; 4] = [None, Some(0.0), Some(-2.5), Some(3.0)];
const B: [Option<bool>; 3] = [None, Some(false), Some(true)];

/// Expressions over one choice of values for x, n, b and c.
fn expressions(
    x: Option<f64>,
    n: Option<i64>,
    b: Option<bool>,
    c: Option<bool>,
) -> impl Strategy<Value = Oracle<bool>> {
    let number = prop_oneof![
        leaf("x", x),
        leaf("n", n.map(|n| n as f64)),
        (0i64..5).prop_map(|k| Oracle { text: k.to_string(), value: Some(k as f64) }),
    ]
    .prop_recursive(4, 16, 2, |inner| {
        (inner.clone(), inner, 0usize..6).prop_map(|(l, r, op)| {
            let both = l.value.zip(r.value);
            let (text, value) = match op {
                0 => (format!("({} + {})", l.text, r.text), both.map(|(l, r)| l + r)),
                1 => (format!("({} - {})", l.text, r.text), both.map(|(l, r)| l - r)),
                2 => (format!("({} * {})", l.text, r.text), both.map(|(l, r)| l * r)),
                3 => (format!("({} / {})", l.text, r.text), both.map(|(l, r)| l / r)),
                4 => (format!("({} % {})", l.text, r.text), both.map(|(l, r)| l % r)),
                _ => (
                    format!("ratio({}, {})", l.text, r.text),
                    both.and_then(|(l, r)| if r == 0.0 { None } else { Some(l / r) }),
                ),
            };
            Oracle { text, value: value.filter(|v| v.is_finite()) }
        })
    });
    let compared = (number.clone(), number, 0usize..4).prop_map(|(l, r, op)| {
        let both = l.value.zip(r.value);
        let (op, value) = match op {
            0 => ("<", both.map(|(l, r)| l < r)),
            1 => (">=", both.map(|(l, r)| l >= r)),
            2 => ("==", Some(l.value == r.value)),
            _ => ("!=", Some(l.value != r.value)),
        };
        Oracle { text: format!("({} {op} {})", l.text, r.text), value }
    });
    prop_oneof![leaf("b", b), leaf("c", c), compared].prop_recursive(5, 24, 3, |inner| {
        (inner.clone(), inner.clone(), inner, 0usize..4).prop_map(|(l, r, e, op)| {
            let (text, value) = match op {
                0 => (format!("({} && {})", l.text, r.text), conjunction(l.value, r.value)),
                1 => (format!("({} || {})", l.text, r.text), disjunction(l.value, r.value)),
                2 => (format!("!{}", l.text), l.value.map(|l| !l)),
                _ => (
                    format!("({} ? {} : {})", l.text, r.text, e.text),
                    l.value.and_then(|l| if l { r.value } else { e.value }),
                ),
            };
            Oracle { text, value }
        })
    })
}

fn leaf<T: Clone + std::fmt::Debug>(text: &str, value: Option<T>) -> Just<Oracle<T>> {
    Just(Oracle { text: text.to_owned(), value })
}

fn conjunction(l: Option<bool>, r: Option<bool>) -> Option<bool> {
    match (l, r) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn disjunction(l: Option<bool>, r: Option<bool>) -> Option<bool> {
    match (l, r) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

fn oracles() -> impl Strategy<Value = (Oracle<bool>, [Input<'static>; 6])> {
    (0..X.len(), 0..X.len(), 0..B.len(), 0..B.len()).prop_flat_map(|(x, n, b, c)| {
        let n = X[n].map(|n| n as i64);
        let values = [
            X[x].map_or(Input::Null, Input::Float),
            n.map_or(Input::Null, Input::Int),
            B[b].map_or(Input::Null, Input::Bool),
            Input::Null,
            Input::Null,
            B[c].map_or(Input::Null, Input::Bool),
        ];
        (expressions(X[x], n, B[b], B[c]), Just(values))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn agrees_with_the_oracle((oracle, values) in oracles()) {
        prop_assume!(oracle.text.len() <= MAX_BYTES);
        let value = eval(&oracle.text, &values);
        prop_assert_eq!(value, oracle.value.map_or(Value::Null, Value::Bool), "{}", oracle.text);
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = Expr::check(&text, &variables());
    }

    #[test]
    fn almost_cel_never_panics(
        tokens in proptest::collection::vec(
            proptest::sample::select(vec![
                "x", "n", "b", "s", "t", " in ", "(", ")", "[", "]", "{", "}", "==", "!", "&&",
                "||", "?", ":", "-", "+", "/", "%", ".", ",", "'a'", "\"é\"", "1", "2.5", "0x", "1u",
                "null", "true", "has(", "x.map(y, ", ".size()", "ratio(", "\n", "//", "\\", "`", "\"",
                "r'", "b'", "'''", "timestamp(", "1e400", "99999999999999999999",
            ]),
            0..24,
        )
    ) {
        if let Err(error) = Expr::check(&tokens.concat(), &variables()) {
            prop_assert!(!error.message.contains('\n'));
            let text = tokens.concat();
            prop_assert!(error.offset.is_none_or(|at| at <= text.len()), "{text}");
        }
    }
}

#[test]
fn is_shared_by_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Expr>();
}
