//! `prescale serve` as a process of its own: what it is told, and all that it says.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prescale::grpc::METRIC_NAME;
use prescale::grpc::proto::external_scaler_client::ExternalScalerClient;
use prescale::grpc::proto::{GetMetricsRequest, ScaledObjectRef};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Status;
use tonic::transport::Channel;

/// Polls of the log for the line that says where it listens, 20 ms apart.
const POLLS: usize = 500;

/// A running program; it ends with the value.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    client: ExternalScalerClient<Channel>,
    /// Where it listens for HTTP, `127.0.0.1:40123`.
    pub(crate) http: String,
}

impl Program {
    /// Starts it with this configuration file, all of its own events logged as `format`.
    pub(crate) async fn start(config: &str, format: &str) -> Self {
        Self::start_with(config, format, "trace").await
    }

    /// The same, with the events of this level and above; what it says when it is ready must be one.
    pub(crate) async fn start_with(config: &str, format: &str, level: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.yaml");
        std::fs::write(&path, config).unwrap();
        let path = path.display().to_string();
        let listen = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"];
        let mut child = Command::new(env!("CARGO_BIN_EXE_prescale"))
            .args(["serve", "--config", &path])
            .args(listen)
            .args(["--log-format", format, "--log-level", level])
            .env_clear()
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let written = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                written.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
            }
        });
        let (grpc, http) = addresses(&lines).await;
        let client = ExternalScalerClient::connect(format!("http://{grpc}")).await.unwrap();
        Self { child, lines, client, http }
    }

    /// `GetMetrics`, then `IsActive`: the value, or the first error.
    pub(crate) async fn ask(&self, object: ScaledObjectRef) -> Result<(f64, bool), Status> {
        let mut client = self.client.clone();
        let metric_name = METRIC_NAME.to_owned();
        let request = GetMetricsRequest { scaled_object_ref: Some(object.clone()), metric_name };
        let metrics = client.get_metrics(request).await?.into_inner();
        let active = client.is_active(object).await?.into_inner().result;
        Ok((metrics.metric_values.first().unwrap().metric_value_float, active))
    }

    /// `GetMetrics` for a metric of this name.
    pub(crate) async fn metric(&self, namespace: &str, name: &str) -> Result<(), Status> {
        let scaled_object_ref = Some(metadata(namespace, "llama", &[]));
        let request = GetMetricsRequest { scaled_object_ref, metric_name: name.to_owned() };
        self.client.clone().get_metrics(request).await.map(drop)
    }

    /// The body of the answer to a GET.
    pub(crate) async fn get(&self, path: &str) -> String {
        let answer = self.send("GET", path, &[&format!("Host: {}", self.http)]).await;
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// The answer to a request with these headers, head and body.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[&str]) -> String {
        let mut stream = tokio::net::TcpStream::connect(&self.http).await.unwrap();
        let headers = headers.join("\r\n");
        let request = format!("{method} {path} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Where it listens for HTTP.
    pub(crate) fn http(&self) -> &str {
        &self.http
    }

    /// Its resident memory.
    pub(crate) fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// User and system time that it has taken, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let rest = text.rsplit_once(')').unwrap().1;
        let ticks = rest.split_whitespace().skip(11).take(2);
        // A hundred clock ticks a second, as Linux has had for ever.
        ticks.map(|text| text.parse::<f64>().unwrap()).sum::<f64>() / 100.0
    }

    /// Everything that it shows of these objects of namespace `team-a`, the log included.
    pub(crate) async fn sinks(&self, names: &[&str]) -> Vec<String> {
        let mut sinks = self.log();
        for path in ["/", "/metrics", "/api/v1/scalers", "/healthz", "/readyz"] {
            sinks.push(self.get(path).await);
        }
        for name in names {
            sinks.push(self.get(&format!("/scalers/team-a/{name}")).await);
            sinks.push(self.get(&format!("/api/v1/scalers/team-a/{name}")).await);
        }
        sinks
    }

    /// Ends it as a kubelet would, and waits: what it knows is then stored.
    pub(crate) fn end(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }

    /// The lines of the log so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A reference as KEDA sends it.
pub(crate) fn metadata(namespace: &str, name: &str, pairs: &[(&str, &str)]) -> ScaledObjectRef {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    ScaledObjectRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        scaler_metadata: pairs.collect(),
    }
}

/// The two addresses in the line that says `ready`, gRPC first.
async fn addresses(lines: &Mutex<Vec<String>>) -> (String, String) {
    for _ in 0..POLLS {
        let ready = lines.lock().unwrap().iter().find(|line| line.contains("ready")).cloned();
        if let Some(line) = ready {
            return (address(&line, "grpc"), address(&line, "http"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never ready: {:?}", lines.lock().unwrap());
}

/// The value of field `name`, as JSON or as text.
fn address(line: &str, name: &str) -> String {
    let (_, rest) =
        line.split_once(&format!("{name}\":\"")).or(line.split_once(&format!("{name}="))).unwrap();
    rest.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':')).collect()
}
