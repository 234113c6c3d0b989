//! Database, cache and web server, each on a Unix socket in a folder of its own.
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use super::{Folder, Program, need, quiet, write};
use crate::support::Stop;
use crate::support::process::{Running, wait_until};

/// PostgreSQL refuses to run as root.
const USER: &str = "postgres";

fn as_user(program: &Path) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(program);
    command
}

fn give_away(folder: &Folder) -> Result<(), Stop> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let user = nix::unistd::User::from_name(USER).ok().flatten();
    let user = user.ok_or_else(|| Stop::Skip(format!("there is no user {USER} to run PostgreSQL as")))?;
    let given = chown(folder.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw()));
    Ok(given.map_err(|error| format!("{}: {error}", folder.path().display()))?)
}

fn postgres_program(name: &str) -> Result<std::path::PathBuf, Stop> {
    // Debian keeps the programs of each version apart.
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions.map(|version| version.path().join("bin").join(name)).collect();
    found.sort();
    match found.into_iter().rev().find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => need(name, "postgresql"),
    }
}

/// A database with three sessions: one idle, one asleep, one waiting for the lock of another.
pub(super) fn postgres() -> Result<Program, Stop> {
    let folder = Folder::new("postgres")?;
    give_away(&folder)?;
    let (data, path) = (folder.path().join("data"), folder.path());
    let mut setup = as_user(&postgres_program("initdb")?);
    setup.arg("-D").arg(&data).args(["-A", "trust", "-U", USER, "--no-sync"]).current_dir(path);
    let output = setup.output().map_err(|error| format!("initdb: {error}"))?;
    if !output.status.success() {
        return Err(Stop::Fail(format!("initdb: {}", String::from_utf8_lossy(&output.stderr))));
    }
    let mut server = as_user(&postgres_program("postgres")?);
    server.arg("-D").arg(&data).arg("-k").arg(path).args(["-c", "listen_addresses=", "-c", "fsync=off"]);
    let running = Running::start(quiet(server.current_dir(path)), "postgres")?;
    let session = |sql: &str| {
        let mut client = as_user(&need("psql", "postgresql-client")?);
        client.arg("-h").arg(path).args(["-U", USER, "-d", "postgres", "-X"]).current_dir(path);
        for statement in sql.split(';') {
            client.args(["-c", statement]);
        }
        Ok::<Command, Stop>(client)
    };
    let mut probe = session("select 1")?;
    if !wait_until(|| quiet(&mut probe).status().is_ok_and(|status| status.success())) {
        return Err(Stop::Fail("postgres did not start".to_owned()));
    }
    let mut clients = Vec::new();
    for sql in ["select pg_advisory_lock(1);select pg_sleep(1000)", "select pg_sleep(1000)"] {
        clients.push(Running::start(quiet(&mut session(sql)?), "psql")?);
    }
    let asleep = "select 1/(count(*)/2) from pg_stat_activity where wait_event = 'PgSleep'";
    let mut check = session(asleep)?;
    wait_until(|| quiet(&mut check).status().is_ok_and(|status| status.success()));
    let waits = "select pg_advisory_lock(1)";
    clients.push(Running::start(quiet(&mut session(waits)?), "psql")?);
    let waiting = "select 1/count(*) from pg_stat_activity where wait_event = 'advisory'";
    let mut check = session(waiting)?;
    wait_until(|| quiet(&mut check).status().is_ok_and(|status| status.success()));
    Ok(Program { clients, folder: Some(folder), ..running.into() })
}

pub(super) fn redis() -> Result<Program, Stop> {
    let folder = Folder::new("redis")?;
    let mut command = Command::new(need("redis-server", "redis-server")?);
    command.args(["--port", "0", "--save", "", "--daemonize", "no"]);
    command.arg("--unixsocket").arg(folder.path().join("redis.sock")).arg("--dir").arg(folder.path());
    let running = Running::start_ready(&mut command, "redis-server", "eady to accept connections")?;
    Ok(Program { folder: Some(folder), ..running.into() })
}

/// A master and two workers.
pub(super) fn nginx() -> Result<Program, Stop> {
    let program = need("nginx", "nginx-light")?;
    let folder = Folder::new("nginx")?;
    let path = folder.path().display();
    let config = format!(
        "daemon off; worker_processes 2; pid {path}/pid; error_log {path}/errors;\n\
         events {{}}\n\
         http {{ access_log off; client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;\n\
         fastcgi_temp_path {path}/fastcgi; uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;\n\
         server {{ listen unix:{path}/nginx.sock; }} }}\n"
    );
    let file = folder.path().join("nginx.conf");
    write(&file, &config)?;
    let running = Running::start(quiet(Command::new(program).arg("-c").arg(&file)), "nginx")?;
    if !wait_until(|| running.tree().len() >= 3) {
        let errors = std::fs::read_to_string(folder.path().join("errors")).unwrap_or_default();
        return Err(Stop::Fail(format!("nginx did not start two workers\n{errors}")));
    }
    Ok(Program { folder: Some(folder), ..running.into() })
}
