//! Types the parsed tree. What it does not know it refuses, with the place and the way out.

use cel::common::ast::{CallExpr, Expr as Ast, IdedExpr, LiteralValue, operators};
use lattice::{Type, Value};

use crate::node::{Comparison, Node};
use crate::parse::Parsed;
use crate::{ExprError, Variable};

/// What [`check`] makes of an expression.
pub(crate) struct Checked {
    pub(crate) root: Node,
    pub(crate) result: Type,
    pub(crate) reads: Vec<usize>,
}

/// A typed part; the type `None` is that of the literal `null`, which fits where nulls have a meaning.
type Typed = (Node, Option<Type>);

struct Checker<'a> {
    parsed: &'a Parsed,
    variables: &'a [Variable],
    reads: Vec<usize>,
}

/// Types a parsed expression over these variables.
pub(crate) fn check(parsed: &Parsed, variables: &[Variable]) -> Result<Checked, ExprError> {
    let mut checker = Checker { parsed, variables, reads: Vec::new() };
    let (root, result) = checker.node(&parsed.root)?;
    let mut reads = checker.reads;
    reads.sort_unstable();
    reads.dedup();
    match result {
        Some(result) => Ok(Checked { root, result, reads }),
        None => Err(parsed.error(&parsed.root, "the expression is always null")),
    }
}

impl Checker<'_> {
    fn node(&mut self, at: &IdedExpr) -> Result<Typed, ExprError> {
        match &at.expr {
            Ast::Literal(literal) => self.literal(at, literal),
            Ast::Ident(name) => self.variable(at, name),
            Ast::Call(call) => self.call(at, call),
            Ast::List(_) => self.refuse(at, "a list stands only after `in`"),
            Ast::Select(select) => self.refuse(
                at,
                format!("`.{}` reads a part of a value; fields are flat, name one", select.field),
            ),
            Ast::Comprehension(_) => self.refuse(at, "loops over lists (all, exists, map, filter) are not supported; combine conditions with && and ||"),
            Ast::Map(_) | Ast::Struct(_) => self.refuse(at, "maps and messages are not supported; use fields and literals"),
            Ast::Unspecified => self.refuse(at, "not an expression"),
        }
    }

    fn literal(&self, at: &IdedExpr, literal: &LiteralValue) -> Result<Typed, ExprError> {
        let number = |x: f64| (Node::Literal(Value::Float(x)), Some(Type::Double));
        Ok(match literal {
            LiteralValue::Null => (Node::Literal(Value::Null), None),
            LiteralValue::Boolean(b) => (Node::Literal(Value::Bool(*b.inner())), Some(Type::Bool)),
            LiteralValue::Int(n) => number(*n.inner() as f64),
            LiteralValue::UInt(n) => number(*n.inner() as f64),
            LiteralValue::Double(x) if x.inner().is_finite() => number(*x.inner()),
            LiteralValue::Double(_) => return self.refuse(at, "the number is too large"),
            LiteralValue::String(text) => {
                (Node::Literal(Value::Text(text.inner().into())), Some(Type::String))
            }
            LiteralValue::Bytes(_) => {
                return self.refuse(at, "bytes are not supported; write a string");
            }
        })
    }

    fn variable(&mut self, at: &IdedExpr, name: &str) -> Result<Typed, ExprError> {
        let Some(index) = self.variables.iter().position(|v| &*v.name == name) else {
            let known: Vec<_> = self.variables.iter().map(|v| &*v.name).collect();
            return self.refuse(at, format!("`{name}` is unknown; known: {}", known.join(", ")));
        };
        self.reads.push(index);
        let kind = match self.variables[index].kind {
            Type::Int => Type::Double,
            kind => kind,
        };
        Ok((Node::Variable(index), Some(kind)))
    }

    fn call(&mut self, at: &IdedExpr, call: &CallExpr) -> Result<Typed, ExprError> {
        // A method is a function of its receiver: `a.contains(b)`.
        let args: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let method = call.target.is_some();
        match (call.func_name.as_str(), method, args.as_slice()) {
            (operators::LOGICAL_NOT, _, [a]) => {
                Ok((Node::Not(self.of(Type::Bool, a, "!")?), Some(Type::Bool)))
            }
            (operators::LOGICAL_AND, _, [a, b]) => {
                let node = Node::And(self.condition(a, "&&")?, self.condition(b, "&&")?);
                Ok((node, Some(Type::Bool)))
            }
            (operators::LOGICAL_OR, _, [a, b]) => {
                let node = Node::Or(self.condition(a, "||")?, self.condition(b, "||")?);
                Ok((node, Some(Type::Bool)))
            }
            (operators::EQUALS, _, [a, b]) => self.equality(at, Node::Equal, a, b, "=="),
            (operators::NOT_EQUALS, _, [a, b]) => self.equality(at, Node::Unequal, a, b, "!="),
            (operators::LESS, _, [a, b]) => self.comparison(at, Comparison::Less, a, b, "<"),
            (operators::LESS_EQUALS, _, [a, b]) => {
                self.comparison(at, Comparison::LessOrEqual, a, b, "<=")
            }
            (operators::GREATER, _, [a, b]) => self.comparison(at, Comparison::Greater, a, b, ">"),
            (operators::GREATER_EQUALS, _, [a, b]) => {
                self.comparison(at, Comparison::GreaterOrEqual, a, b, ">=")
            }
            (operators::IN, _, [a, list]) => self.member(a, list),
            (operators::CONDITIONAL, _, [condition, a, b]) => self.conditional(at, condition, a, b),
            (operators::NEGATE, _, [a]) => self.unary(|a| -a, a, "-"),
            (operators::ADD, _, [a, b]) => self.arithmetic(|a, b| a + b, a, b, "+"),
            (operators::SUBSTRACT, _, [a, b]) => self.arithmetic(|a, b| a - b, a, b, "-"),
            (operators::MULTIPLY, _, [a, b]) => self.arithmetic(|a, b| a * b, a, b, "*"),
            (operators::DIVIDE, _, [a, b]) => self.arithmetic(|a, b| a / b, a, b, "/"),
            (operators::MODULO, _, [a, b]) => self.arithmetic(|a, b| a % b, a, b, "%"),
            ("ratio", false, [a, b]) => self.arithmetic(|a, b| a / b, a, b, "ratio"),
            ("abs", false, [a]) => self.unary(f64::abs, a, "abs"),
            ("min", false, [a, b]) => {
                self.arithmetic(|a, b| if b < a { b } else { a }, a, b, "min")
            }
            ("max", false, [a, b]) => {
                self.arithmetic(|a, b| if b > a { b } else { a }, a, b, "max")
            }
            ("size", _, [a]) => {
                Ok((Node::Size(self.of(Type::String, a, "size")?), Some(Type::Double)))
            }
            ("startsWith", true, [a, b]) => self.test(|a, b| a.starts_with(b), a, b, "startsWith"),
            ("endsWith", true, [a, b]) => self.test(|a, b| a.ends_with(b), a, b, "endsWith"),
            ("contains", true, [a, b]) => self.test(|a, b| a.contains(b), a, b, "contains"),
            ("timestamp", false, [a]) => self.timestamp(a),
            (name, ..) => self.unknown_function(at, name),
        }
    }

    fn unknown_function(&self, at: &IdedExpr, name: &str) -> Result<Typed, ExprError> {
        if ["now", "getFullYear", "getMonth", "getHours", "getDayOfWeek"].contains(&name) {
            return self.refuse(at, format!("`{name}` reads a clock or a calendar, and a fold must give the same everywhere; send it as a field"));
        }
        self.refuse(at, format!("`{name}` with these arguments is unknown; there are ratio(a, b), abs(a), min(a, b), max(a, b), size(s), s.startsWith(t), s.endsWith(t), s.contains(t) and timestamp(\"…\")"))
    }

    fn equality(
        &mut self,
        at: &IdedExpr,
        make: fn(Box<Node>, Box<Node>) -> Node,
        a: &IdedExpr,
        b: &IdedExpr,
        op: &str,
    ) -> Result<Typed, ExprError> {
        let ((a, left), (b, right)) = (self.node(a)?, self.node(b)?);
        self.alike(at, left, right, op)?;
        Ok((make(Box::new(a), Box::new(b)), Some(Type::Bool)))
    }

    fn comparison(
        &mut self,
        at: &IdedExpr,
        comparison: Comparison,
        a: &IdedExpr,
        b: &IdedExpr,
        op: &str,
    ) -> Result<Typed, ExprError> {
        let ((left, a_type), (right, b_type)) = (self.node(a)?, self.node(b)?);
        if a_type.is_none() || b_type.is_none() {
            return self.refuse(at, format!("`{op} null` is always null; compare with == or !="));
        }
        self.alike(at, a_type, b_type, op)?;
        Ok((Node::Compare(comparison, Box::new(left), Box::new(right)), Some(Type::Bool)))
    }

    fn member(&mut self, a: &IdedExpr, list: &IdedExpr) -> Result<Typed, ExprError> {
        let Ast::List(items) = &list.expr else {
            return self.refuse(list, "`in` wants a list of literals: [\"a\", \"b\"]");
        };
        let (value, kind) = self.node(a)?;
        let Some(kind) = kind else { return self.refuse(a, "`null in` is always null") };
        let mut values = Vec::with_capacity(items.elements.len());
        for item in &items.elements {
            match self.node(item)? {
                (Node::Literal(value), Some(of)) if of == kind => values.push(value),
                (Node::Unary(f, number), Some(of)) if of == kind => match *number {
                    Node::Literal(Value::Float(x)) => values.push(Value::Float(f(x))),
                    _ => return self.refuse(item, "a list holds literals only"),
                },
                (Node::Literal(_), of) => {
                    return self.refuse(
                        item,
                        format!(
                            "the list must hold {}s as before `in`, not {}",
                            name(Some(kind)),
                            name(of)
                        ),
                    );
                }
                _ => return self.refuse(item, "a list holds literals only"),
            }
        }
        Ok((Node::In(Box::new(value), values), Some(Type::Bool)))
    }

    fn conditional(
        &mut self,
        at: &IdedExpr,
        condition: &IdedExpr,
        a: &IdedExpr,
        b: &IdedExpr,
    ) -> Result<Typed, ExprError> {
        let condition = self.of(Type::Bool, condition, "?:")?;
        let ((a, left), (b, right)) = (self.node(a)?, self.node(b)?);
        self.alike(at, left, right, "?:")?;
        Ok((Node::If(condition, Box::new(a), Box::new(b)), left.or(right)))
    }

    fn unary(&mut self, f: fn(f64) -> f64, a: &IdedExpr, op: &str) -> Result<Typed, ExprError> {
        Ok((Node::Unary(f, self.of(Type::Double, a, op)?), Some(Type::Double)))
    }

    fn arithmetic(
        &mut self,
        f: fn(f64, f64) -> f64,
        a: &IdedExpr,
        b: &IdedExpr,
        op: &str,
    ) -> Result<Typed, ExprError> {
        let (a, b) = (self.of(Type::Double, a, op)?, self.of(Type::Double, b, op)?);
        Ok((Node::Arithmetic(f, a, b), Some(Type::Double)))
    }

    fn test(
        &mut self,
        f: fn(&str, &str) -> bool,
        a: &IdedExpr,
        b: &IdedExpr,
        op: &str,
    ) -> Result<Typed, ExprError> {
        let (a, b) = (self.of(Type::String, a, op)?, self.of(Type::String, b, op)?);
        Ok((Node::Test(f, a, b), Some(Type::Bool)))
    }

    fn timestamp(&mut self, a: &IdedExpr) -> Result<Typed, ExprError> {
        let (Node::Literal(Value::Text(text)), _) = self.node(a)? else {
            return self
                .refuse(a, "timestamp() wants a literal: timestamp(\"2013-02-01T00:00:00Z\")");
        };
        match clock::parse_timestamp_ms(&text) {
            Ok(ms) => Ok((Node::Literal(Value::Time(ms)), Some(Type::Timestamp))),
            Err(error) => self.refuse(a, error.to_string()),
        }
    }

    /// An operand that must be of this type.
    fn of(&mut self, kind: Type, at: &IdedExpr, op: &str) -> Result<Box<Node>, ExprError> {
        match self.node(at)? {
            (node, Some(found)) if found == kind => Ok(Box::new(node)),
            (_, found) => {
                let message = format!("`{op}` wants a {}, not {}", name(Some(kind)), name(found));
                self.refuse(at, message)
            }
        }
    }

    /// An operand of `&&` or `||`, where null has a meaning.
    fn condition(&mut self, at: &IdedExpr, op: &str) -> Result<Box<Node>, ExprError> {
        match &at.expr {
            Ast::Literal(LiteralValue::Null) => Ok(Box::new(Node::Literal(Value::Null))),
            _ => self.of(Type::Bool, at, op),
        }
    }

    fn alike(
        &self,
        at: &IdedExpr,
        a: Option<Type>,
        b: Option<Type>,
        op: &str,
    ) -> Result<(), ExprError> {
        match (a, b) {
            (Some(a), Some(b)) if a != b => {
                self.refuse(at, format!("`{op}` between {} and {}", name(Some(a)), name(Some(b))))
            }
            _ => Ok(()),
        }
    }

    fn refuse<T>(&self, at: &IdedExpr, message: impl Into<String>) -> Result<T, ExprError> {
        Err(self.parsed.error(at, message))
    }
}

fn name(kind: Option<Type>) -> &'static str {
    match kind {
        None => "null",
        Some(Type::Bool) => "bool",
        Some(Type::Int | Type::Double) => "number",
        Some(Type::String) => "string",
        Some(Type::Timestamp) => "timestamp",
    }
}
