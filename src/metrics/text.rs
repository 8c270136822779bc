//! Writes Prometheus' text format, version 0.0.4: families, their samples, labels, histograms.
//!
//! By hand, because it is a page of code: the libraries keep registries of their own beside the numbers, which are here
//! taken from the catalog at each scrape, or write OpenMetrics, which older scrapers and tools do not all read. Must not
//! know: which families there are.

use crate::domain::tally::Histogram;

/// What the format is called in HTTP.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family's samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// They only grow, from zero at the start of the process.
    Counter,
    /// They stand for now.
    Gauge,
}

/// The text so far.
#[derive(Default)]
pub(super) struct Text(String);

/// A family that takes samples.
pub(super) struct Family<'t> {
    text: &'t mut Text,
    name: &'static str,
}

impl Text {
    /// Begins a family.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.begin(name, kind, help);
        Family { text: self, name }
    }

    /// A whole family: one histogram without labels.
    pub fn histogram(&mut self, name: &'static str, help: &str, histogram: &Histogram) {
        self.begin(name, "histogram", help);
        let measured = histogram.measured();
        for (bound, count) in histogram.bounds().iter().zip(&measured.at_most) {
            self.sample(
                &format!("{name}_bucket"),
                &[("le", &bound.to_string())],
                &count.to_string(),
            );
        }
        let count = measured.count.to_string();
        self.sample(&format!("{name}_bucket"), &[("le", "+Inf")], &count);
        self.sample(&format!("{name}_sum"), &[], &measured.sum.to_string());
        self.sample(&format!("{name}_count"), &[], &count);
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.0
    }

    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.0
            .push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            self.0.push_str(&format!("{label}=\"{}\"", escaped(text)));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        self.0.push(' ');
        self.0.push_str(value);
        self.0.push('\n');
    }
}

impl Family<'_> {
    /// A sample that is a whole number.
    pub fn count(&mut self, labels: &[(&str, &str)], value: u64) -> &mut Self {
        self.text.sample(self.name, labels, &value.to_string());
        self
    }

    /// A sample that is a measure.
    pub fn measure(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.text.sample(self.name, labels, &value.to_string());
        self
    }

    /// A sample that is yes or no.
    pub fn flag(&mut self, labels: &[(&str, &str)], value: bool) -> &mut Self {
        self.count(labels, u64::from(value))
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_written_as_the_format_says() {
        let mut text = Text::default();
        text.family("a_total", Kind::Counter, "Odd \\ help\nof two lines.")
            .count(&[], 3)
            .count(&[("x", "a\"b\\c\nd"), ("y", "")], u64::MAX);
        text.family("b", Kind::Gauge, "B.")
            .measure(&[], -0.5)
            .flag(&[("x", "y")], true);
        assert_eq!(
            text.finish(),
            "# HELP a_total Odd \\\\ help\\nof two lines.\n# TYPE a_total counter\na_total 3\n\
             a_total{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 18446744073709551615\n\
             # HELP b B.\n# TYPE b gauge\nb -0.5\nb{x=\"y\"} 1\n"
        );
    }

    #[test]
    fn a_histogram_has_its_buckets_its_sum_and_its_count() {
        let histogram = Histogram::new(&[0.5, 4_294_967_296.0]);
        histogram.observe(0.25);
        histogram.observe(1e12);
        let mut text = Text::default();
        text.histogram("h_bytes", "H.", &histogram);
        assert_eq!(
            text.finish(),
            "# HELP h_bytes H.\n# TYPE h_bytes histogram\nh_bytes_bucket{le=\"0.5\"} 1\n\
             h_bytes_bucket{le=\"4294967296\"} 1\nh_bytes_bucket{le=\"+Inf\"} 2\n\
             h_bytes_sum 1000000000000.25\nh_bytes_count 2\n"
        );
    }
}
