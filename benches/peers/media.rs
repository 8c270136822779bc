//! The media host: nginx with a configuration of its own, over HTTP and HTTPS, on ports that the kernel picked.
//!
//! Must not know: the API, contenders.

use std::fs;
use std::io::BufWriter;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

use super::sets::Noise;
use super::sets::Set;
use super::tls::Authority;

/// A running nginx. Killed when dropped.
pub struct Media {
    child: Child,
    pub plain_port: u16,
    pub tls_port: u16,
}

impl Media {
    /// Serves the bodies below `files`, with its configuration and sockets in `dir`.
    ///
    /// # Errors
    /// nginx is not installed, or does not start.
    pub fn start(files: &Path, dir: &Path, authority: &Authority) -> Result<Self> {
        let (plain_port, tls_port) = (free_port()?, free_port()?);
        let config = dir.join("nginx.conf");
        fs::write(&config, configuration(files, dir, authority, plain_port, tls_port))?;
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&config)
            .arg("-e")
            .arg(dir.join("nginx.log"))
            .arg("-p")
            .arg(dir)
            .stdin(Stdio::null())
            .spawn()
            .context("nginx (the Debian package nginx)")?;
        let media = Self {
            child,
            plain_port,
            tls_port,
        };
        wait_for(plain_port)?;
        wait_for(tls_port)?;
        Ok(media)
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        // SIGTERM, sent to the master, ends the workers too; a killed master would leave them.
        if let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

fn configuration(files: &Path, dir: &Path, authority: &Authority, plain_port: u16, tls_port: u16) -> String {
    let (files, dir) = (files.display(), dir.display());
    let (certificate, key) = (authority.certificate(), authority.key());
    let (certificate, key) = (certificate.display(), key.display());
    format!(
        "daemon off;
worker_processes 2;
pid {dir}/nginx.pid;
error_log {dir}/nginx.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 100000000;
    keepalive_timeout 1h;
    default_type audio/mpeg;
    types {{ }}
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    server {{
        listen 127.0.0.1:{plain_port} backlog=4096;
        listen 127.0.0.1:{tls_port} ssl backlog=4096;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_session_cache shared:s:1m;
        root {files};
        autoindex on;
        location /dead/ {{
            default_type application/xml;
            return 403 '<Error><Code>AccessDenied</Code><Message>Request has expired</Message>\
<X-Amz-Expires>600</X-Amz-Expires></Error>';
        }}
        location / {{ rewrite ^/workspaceID[^/]*/(.*)$ /$1 break; }}
    }}
}}
"
    )
}

/// Writes the bodies of a set into a folder, each under its id.
///
/// # Errors
/// The disk refuses.
pub fn write_bodies(set: Set, dir: &Path) -> Result<()> {
    let noise = Noise::new();
    fs::create_dir_all(dir)?;
    for number in 0..set.bodies() {
        let recording = set.recording(number);
        let file = fs::File::create(dir.join(format!("{}.mp3", recording.id)))?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        recording.write_body(&noise, &mut out)?;
        out.flush()?;
    }
    Ok(())
}

/// The URL of a recording's body below `base`.
pub fn url_of(base: &str, recording: &super::sets::Recording) -> String {
    format!("{base}/{}.mp3", recording.id)
}

/// A port of loopback that nobody has now.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until somebody listens.
///
/// # Errors
/// Nobody does within ten seconds.
pub fn wait_for(port: u16) -> Result<()> {
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if begun.elapsed() > Duration::from_secs(10) {
            bail!("nobody listens on port {port}");
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// How many bodies lie below a folder, and their bytes: what ends with `.mp3`, whatever else lies beside it.
///
/// # Errors
/// It cannot be read.
pub fn count_bodies(dir: &Path) -> Result<(u64, u64)> {
    let (mut count, mut bytes) = (0, 0);
    let mut open: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                open.push(path);
            } else if path.extension() == Some("mp3".as_ref()) {
                count += 1;
                bytes += entry.metadata()?.len();
            }
        }
    }
    Ok((count, bytes))
}

/// Fails unless a folder holds every body of a set.
///
/// # Errors
/// It does not.
pub fn check_all(set: Set, dir: &Path) -> Result<()> {
    let (count, bytes) = count_bodies(dir)?;
    ensure!(
        count == set.count && bytes == set.total_bytes(),
        "{} holds {count} bodies of {bytes} bytes, not all {}",
        dir.display(),
        set.count
    );
    Ok(())
}
