//! Metrics are what the maps say, Prometheus reads them, and no scraper holds anything up.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::curl::{self, Mode};
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::vsftpd::{self, Vsftpd};
use ftptrack_tests::hosts::network::{Family, Host, Network};
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory, USUAL};
use ftptrack_tests::subject::hooks;
use ftptrack_tests::subject::journal::Journal;
use ftptrack_tests::support::{file, process, tools, wait};
use serde_json::Value;

const ADDRESS: &str = "127.0.0.1:9821";
/// More than are answered at a time.
const SCRAPERS: usize = 40;
/// How long Prometheus waits for an answer, as it comes.
const PROMETHEUS_WAITS: Duration = Duration::from_secs(10);
/// What Grafana puts in its place depends on the zoom.
const INTERVAL: (&str, &str) = ("$__rate_interval", "5m");

fn address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 9821).into()
}

/// The head and the body of what it answers to a request.
#[track_caller]
fn ask(host: &Host, request: &str) -> (String, String) {
    let mut stream = probe::connect(host, address()).expect("it listens");
    stream.set_read_timeout(Some(wait::patience())).expect("a socket");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.to_owned(), body.to_owned())
}

#[track_caller]
fn scrape(host: &Host) -> String {
    let (head, body) = ask(host, "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    body
}

/// Prometheus's own opinion of it.
#[track_caller]
fn check(text: &str) {
    let mut promtool = Command::new(tools::path(tools::PROMTOOL));
    let input = file::directory();
    let path = input.path().join("metrics");
    fs::write(&path, text).expect("our own");
    promtool.args(["check", "metrics"]).stdin(fs::File::open(path).expect("our own"));
    let output = promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("it is there");
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[track_caller]
fn promtool(arguments: &[&str], directory: &Path) {
    let mut command = Command::new(tools::path(tools::PROMTOOL));
    let output = process::finish(command.args(arguments).current_dir(directory));
    assert!(output.status.success(), "{output:?}");
}

/// The value of a metric.
#[track_caller]
fn of(text: &str, metric: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {metric} in {text}")).parse().expect("a number")
}

fn names(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| Some(line.strip_prefix("# TYPE ")?.split(' ').next()?.to_owned())).collect()
}

#[test]
fn they_tell_what_has_happened_and_prometheus_reads_them() {
    let Network { server, client, .. } = &Network::new();
    let vsftpd = Vsftpd::on(server);
    let (pins, directory) = (PinDirectory::new(), file::directory());
    let hook = hooks::known()[0];
    let attached = format!("ftptrack_interface_attached{{hook=\"{hook}\",interface=\"eth0\",side=\"servers-behind\"}}");
    for command in ["run", "watch"] {
        let options = [&USUAL[..], &["--metrics", ADDRESS]].concat();
        let ftptrack = match command {
            "run" => Ftptrack::run(server, &pins, &options),
            _ => {
                let _journal = Journal::instead_of_the_systems(&pins);
                Ftptrack::watch(server, &pins, &[&options[..], &["--journal"]].concat())
            }
        };
        assert_eq!(of(&scrape(server), "ftptrack_data_bytes_total{from=\"server\",mode=\"passive\"}"), 0, "{command}");
        file::write_random(&vsftpd.file("file"), 100_000);
        let url = vsftpd::url(server, Family::V4, "file");
        curl::download(client, Mode::Epsv, &url, &directory.path().join("file"));
        curl::download(client, Mode::Port, &url, &directory.path().join("file"));
        assert_eq!(probe::to(client, server.at(Family::V4, INSIDE)), Outcome::Silence);
        let text = wait::until("an answer that is not the last one again", || {
            let text = scrape(server);
            let bytes = "ftptrack_data_bytes_total{from=\"server\",mode=\"active\"}";
            (of(&text, bytes) == 100_000).then_some(text)
        });
        check(&text);
        for (metric, value) in [
            ("ftptrack_data_bytes_total{from=\"server\",mode=\"passive\"}", 100_000),
            ("ftptrack_data_bytes_total{from=\"client\",mode=\"passive\"}", 0),
            (attached.as_str(), 1),
            ("ftptrack_expectations_passive_total", 1),
            ("ftptrack_flows_ended_total", 2),
            ("ftptrack_flows{mode=\"passive\",state=\"established\"}", 0),
            ("ftptrack_policies{mode=\"enforce\"}", 1),
            ("ftptrack_sessions_limit", 16384),
            ("ftptrack_unprotected_addresses", 0),
        ] {
            assert_eq!(of(&text, metric), value, "{command}: {metric} in {text}");
        }
        // The SYN, and perhaps again.
        assert!(of(&text, "ftptrack_denied_total{reason=\"passive\"}") >= 1, "{text}");
        let once = ftptrack::succeed(server, &pins, &["metrics"]);
        check(&once);
        // What has passed since a beginning is known by who was there.
        let mut all = names(&once);
        assert!(all.insert("ftptrack_data_bytes_total".to_owned()));
        assert_eq!(names(&text), all);
        match command {
            "run" => ftptrack.stop(),
            _ => ftptrack.leave(),
        }
    }
    ftptrack::succeed(server, &pins, &["detach", "--all"]);
}

#[test]
fn a_slow_or_hostile_scraper_holds_nothing_up() {
    let Network { server, client, .. } = &Network::new();
    let pins = PinDirectory::new();
    let mut ftptrack = Ftptrack::run(server, &pins, &[&USUAL[..], &["--metrics", ADDRESS]].concat());
    let (missing, _) = ask(server, "GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    assert!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
    let (posted, _) = ask(server, "POST /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n");
    assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
    let (head, body) = ask(server, "HEAD /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && body.is_empty(), "{head} {body}");
    let (huge, _) = ask(server, &format!("GET /metrics HTTP/1.1\r\nCookie: {}\r\n\r\n", "x".repeat(20_000)));
    assert!(huge.starts_with("HTTP/1.1 431 "), "{huge}");

    // Many that say nothing, or half of something, and one that doesn't read what it has asked for.
    let silent = |n: usize| -> TcpStream {
        let mut stream = probe::connect(server, address()).expect("it listens");
        if n.is_multiple_of(2) {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost:").expect("a socket");
        }
        stream
    };
    let mut held: Vec<_> = (0..SCRAPERS).map(silent).collect();
    let mut deaf = probe::connect(server, address()).expect("it listens");
    deaf.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n").expect("a socket");
    // What `run` is there for goes on at once.
    assert_eq!(probe::to(client, server.at(Family::V4, INSIDE)), Outcome::Silence);
    ftptrack.wait_for_line("nobody negotiated it");
    server.namespace.ip("address add 10.0.0.77/24 dev eth0");
    ftptrack.wait_for_line("10.0.0.77");
    // And the next one is answered, when those before it have been sent away.
    let begun = Instant::now();
    check(&scrape(server));
    assert!(begun.elapsed() < PROMETHEUS_WAITS, "{:?}", begun.elapsed());
    for stream in &mut held {
        stream.set_read_timeout(Some(wait::patience())).expect("a socket");
        let mut answer = Vec::new();
        // Closed or reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "that was no request");
    }
    drop(deaf);
    ftptrack.stop();
}

#[test]
fn an_address_that_is_taken_is_told_before_anything_is_attached() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let _taken = probe::listen(server, address());
    let refused = ftptrack::finish(server, &pins, &[&["run"], &USUAL[..], &["--metrics", ADDRESS]].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.starts_with(&format!("ftptrack: --metrics {ADDRESS}: ")), "{refused:?}");
    assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    assert_eq!(pins.entries(), [""; 0]);
    let wrong = ftptrack::finish(server, &pins, &[&["run"], &USUAL[..], &["--metrics", "9821"]].concat());
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_exist() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::run(server, &pins, &[&USUAL[..], &["--metrics", ADDRESS]].concat());
    let metrics = names(&scrape(server));
    ftptrack.stop();

    let directory = tools::of_repository("deploy/prometheus");
    promtool(&["check", "rules", "ftptrack.rules.yml"], &directory);
    promtool(&["test", "rules", "ftptrack.rules.test.yml"], &directory);
    let rules = fs::read_to_string(directory.join("ftptrack.rules.yml")).expect("it is there");
    let tests = fs::read_to_string(directory.join("ftptrack.rules.test.yml")).expect("it is there");
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    for alert in &alerts {
        assert_eq!(tests.matches(&format!("alertname: {alert}\n")).count(), 1, "{alert} is to fire in a test");
    }

    let dashboard = fs::read_to_string(tools::of_repository("deploy/grafana/ftptrack.json")).expect("it is there");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("each asks for something"));
    let queries: Vec<_> = targets.map(|target| target["expr"].as_str().expect("a query")).collect();
    assert!(queries.len() > 10);
    let asked = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).chain(queries.iter().copied());
    for query in asked {
        let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let named: Vec<_> = words.filter(|word| word.starts_with("ftptrack_")).collect();
        assert!(!named.is_empty(), "{query}");
        for name in named {
            assert!(metrics.contains(name), "{name}, which {query} asks for, is not among {metrics:#?}");
        }
    }
    // They are what Prometheus understands.
    let scratch = file::directory();
    let (variable, value) = INTERVAL;
    let records = queries.iter().enumerate().map(|(number, query)| {
        let query = serde_json::to_string(&query.replace(variable, value).replace("$instance", ".*")).expect("text");
        format!("- {{record: 'a:b:{number}', expr: {query}}}\n")
    });
    let text = format!("groups:\n- name: dashboard\n  rules:\n  {}", records.collect::<Vec<_>>().join("  "));
    fs::write(scratch.path().join("rules.yml"), text).expect("our own");
    promtool(&["check", "rules", "rules.yml"], scratch.path());
}
