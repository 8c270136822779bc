//! What came of a measure: every figure of every run, medians, ratios beside their goals, as tables and as JSON.
//!
//! Must not know: how anything was measured.

use std::collections::BTreeSet;

use serde::Serialize;

use super::run::Figures;

/// One run of one contender.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub contender: String,
    pub round: u32,
    pub figures: Figures,
}

/// What is to hold: a figure, or its ratio to another contender's in the same round.
#[derive(Debug, Clone, Serialize)]
pub struct Goal {
    /// What it is called.
    pub what: String,
    /// Contender and figure.
    pub of: (String, String),
    /// What that is divided by.
    pub by: Option<(String, String)>,
    /// The bound, as the issue states it.
    pub bound: String,
    /// The same as a number.
    pub most: Option<f64>,
    /// Whether it is a least and no most.
    pub is_least: bool,
}

/// One measure.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Measured {
    pub name: String,
    pub rows: Vec<Row>,
    pub goals: Vec<Goal>,
    /// What was left out or is to be known when reading it.
    pub notes: Vec<String>,
}

impl Goal {
    /// A ratio that is to be at most so much.
    pub fn ratio(what: &str, of: (&str, &str), by: (&str, &str), most: f64) -> Self {
        Self {
            what: what.to_owned(),
            of: (of.0.to_owned(), of.1.to_owned()),
            by: Some((by.0.to_owned(), by.1.to_owned())),
            bound: format!("≤ {most}"),
            most: Some(most),
            is_least: false,
        }
    }

    /// A figure that is to be at most so much.
    pub fn most(what: &str, of: (&str, &str), most: f64) -> Self {
        Self {
            by: None,
            ..Self::ratio(what, of, of, most)
        }
    }

    /// Turns it around: it is to be at least so much.
    #[must_use]
    pub fn at_least(mut self) -> Self {
        self.bound = self.bound.replace('≤', "≥");
        self.is_least = true;
        self
    }

    /// Adds a word to the bound, such as how far one would like to come.
    #[must_use]
    pub fn hoping(mut self, word: &str) -> Self {
        self.bound = format!("{} ({word})", self.bound);
        self
    }
}

impl Measured {
    /// An empty one.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// Enters a run.
    pub fn enter(&mut self, contender: &str, round: u32, figures: Figures) {
        let told: Vec<String> = figures
            .iter()
            .map(|(name, figure)| format!("{name} {}", number(*figure)))
            .collect();
        super::tell(&format!(
            "  {} round {round} {contender}: {}",
            self.name,
            told.join(", ")
        ));
        self.rows.push(Row {
            contender: contender.to_owned(),
            round,
            figures,
        });
    }

    /// Enters, for each round, the least that some contenders have of a figure.
    pub fn enter_least(&mut self, name: &str, of: &[&str], figure: &str) {
        let all: Vec<(u32, f64)> = of.iter().flat_map(|contender| self.values(contender, figure)).collect();
        let rounds: BTreeSet<u32> = all.iter().map(|(round, _)| *round).collect();
        for round in rounds {
            let values = all.iter().filter(|(other, _)| *other == round);
            let least = values.map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
            self.rows.push(Row {
                contender: name.to_owned(),
                round,
                figures: Figures::from([(figure.to_owned(), least)]),
            });
        }
    }

    /// The figures of one contender, a round each.
    fn values(&self, contender: &str, figure: &str) -> Vec<(u32, f64)> {
        let of_it = self.rows.iter().filter(|row| row.contender == contender);
        of_it
            .filter_map(|row| Some((row.round, *row.figures.get(figure)?)))
            .collect()
    }

    /// A goal's value in each round.
    fn goal_values(&self, goal: &Goal) -> Vec<f64> {
        let over = self.values(&goal.of.0, &goal.of.1);
        let Some((contender, figure)) = &goal.by else {
            return over.into_iter().map(|(_, value)| value).collect();
        };
        let under = self.values(contender, figure);
        over.iter()
            .filter_map(|(round, value)| {
                let (_, by) = under.iter().find(|(other, _)| other == round)?;
                (*by > 0.0).then(|| value / by)
            })
            .collect()
    }

    /// Both tables, ready to be printed.
    pub fn tables(&self) -> String {
        let mut text = format!("\n## {}\n\n{}", self.name, self.medians());
        if !self.goals.is_empty() {
            text.push_str("\n| goal | bound | each round | median | |\n|---|---|---|---|---|\n");
        }
        for goal in &self.goals {
            let values = self.goal_values(goal);
            let Some(median) = median(&values) else {
                text.push_str(&format!("| {} | {} | not measured | | |\n", goal.what, goal.bound));
                continue;
            };
            let held = goal
                .most
                .map(|most| if goal.is_least { median >= most } else { median <= most });
            let each: Vec<String> = values.iter().map(|value| number(*value)).collect();
            let verdict = held.map_or("", |held| if held { "held" } else { "MISSED" });
            text.push_str(&format!(
                "| {} | {} | {} | {} | {verdict} |\n",
                goal.what,
                goal.bound,
                each.join(" "),
                number(median)
            ));
        }
        for note in &self.notes {
            text.push_str(&format!("\n{note}\n"));
        }
        text
    }

    fn medians(&self) -> String {
        let (mut contenders, mut names): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for row in &self.rows {
            if !contenders.contains(&row.contender.as_str()) {
                contenders.push(&row.contender);
            }
            for name in row.figures.keys() {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
        }
        // What the reader looks for first, first.
        let order = [
            super::run::WALL,
            super::run::DURABLE,
            super::run::CPU,
            super::run::RSS,
            super::run::FLUSHES,
        ];
        names.sort_by_key(|name| order.iter().position(|first| first == name).unwrap_or(order.len()));
        let mut text = format!(
            "| median of each | {} |\n|---|{}\n",
            names.join(" | "),
            "---|".repeat(names.len())
        );
        for contender in contenders {
            let cells = names.iter().map(|name| {
                let values: Vec<f64> = self
                    .values(contender, name)
                    .into_iter()
                    .map(|(_, value)| value)
                    .collect();
                median(&values).map_or_else(|| "-".to_owned(), number)
            });
            text.push_str(&format!(
                "| {contender} | {} |\n",
                cells.collect::<Vec<_>>().join(" | ")
            ));
        }
        text
    }
}

/// The value in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied()?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted[middle - 1], upper))
}

/// A number with three digits that matter.
fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 || size == 0.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}
