//! What a build takes from elsewhere and gives away: caches in registries, files by their address, an agent, archives.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::process::{Child, Command, Stdio};

use taru_oci::Digest;
use taru_testkit::registry::Registry;
use taru_testkit::{eventually, sandbox, skip};

use crate::image::Image;
use crate::{USER, World};

#[test]
fn a_cache_in_a_pushed_image_is_used() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        for world in [World::new(sandbox), World::rootless(sandbox)] {
            let name = registry.name(if world.user { "user/app:1" } else { "root/app:1" });
            world.file("a.txt", "a");
            let text = World::with_busybox(
                "RUN cat /proc/sys/kernel/random/uuid > /once\nCOPY a.txt /\nRUN echo end\n",
            );
            let inline = ["--cache-to", "type=inline", "-t", &name];
            let first = world.build(&text, &inline).ok();
            world.taru(&["push", "-q", &name]).output().succeeds();
            let once = world.taru(&["run", "--rm", &name, "cat", "/once"]).output().ok().stdout;
            assert_eq!(once.trim().len(), 36);

            let fresh = |part: &str| {
                fs::rename(world.store(), world.dir().join(part)).unwrap();
            };
            fresh("first");
            let from = ["--cache-from", &name];
            let second = world.build(&text, &[&from[..], &inline].concat()).ok();
            assert_eq!(second.stderr.matches("CACHED").count(), 5, "{}", second.stderr);
            assert_eq!(second.text(), first.text());
            assert_eq!(world.taru(&["run", "--rm", &name, "cat", "/once"]).output().ok().stdout, once);

            // What changed is done, and what stands on it; what does not stays.
            fresh("second");
            world.file("a.txt", "b");
            let third = world.build(&text, &[&from[..], &["-t", "x"]].concat()).ok();
            assert_eq!(third.stderr.matches("CACHED").count(), 3, "{}", third.stderr);
            assert_eq!(
                world.taru(&["run", "--rm", "x", "cat", "/once", "/a.txt"]).output().ok().stdout,
                once + "b"
            );

            // An image without a cache in it, and one that is not there, are no reason not to build.
            let plain = registry.name(if world.user { "user/plain:1" } else { "root/plain:1" });
            world.taru(&["tag", "x", &plain]).output().succeeds();
            world.taru(&["push", "-q", &plain]).output().succeeds();
            fresh("third");
            let absent = registry.name("absent:1");
            let built = world.build(&text, &["--cache-from", &plain, "--cache-from", &absent]).ok();
            assert_eq!(built.stderr.matches("CACHED").count(), 0, "{}", built.stderr);
            assert!(
                built.stderr.contains(&format!("the cache of `{absent}` is not used")),
                "{}",
                built.stderr
            );
        }
    });
}

#[test]
fn files_of_an_image_come_as_a_tar() {
    sandbox(|sandbox| {
        for world in [World::new(sandbox), World::rootless(sandbox)] {
            world.file("a.txt", "a").file("d/gone", "").file("d/kept", "k");
            let text = World::with_busybox(
                "COPY d /d\nCOPY --chmod=4750 a.txt /d/\n\
                 RUN rm /d/gone && ln /d/kept /d/also && ln -s kept /d/link && mkdir /d/e && echo b > /d/e/b\n",
            );
            world.build(&text, &["--output", "type=tar,dest=x.tar"]).succeeds();
            let to = world.dir().join("unpacked");
            fs::create_dir(&to).unwrap();
            let mut tar = Command::new("tar");
            tar.args(["-xpf", "x.tar", "--numeric-owner", "-C"]).arg(&to).current_dir(world.context());
            let done = tar.output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            let names: Vec<String> = fs::read_dir(to.join("d"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, ["a.txt", "also", "e", "kept", "link"]);
            let stat = |path: &str| {
                let stat = fs::symlink_metadata(to.join(path)).unwrap();
                (stat.mode() & 0o7777, stat.uid(), stat.gid(), stat.nlink())
            };
            assert_eq!(stat("d/a.txt"), (0o4750, 0, 0, 1));
            assert_eq!((stat("d/kept").3, stat("d/also").3), (2, 2));
            assert_eq!(
                fs::metadata(to.join("d/kept")).unwrap().ino(),
                fs::metadata(to.join("d/also")).unwrap().ino()
            );
            assert_eq!(fs::read_link(to.join("d/link")).unwrap().to_str(), Some("kept"));
            assert_eq!(fs::read_to_string(to.join("d/e/b")).unwrap(), "b\n");
            assert!(!to.join("d/.wh.gone").exists());
            assert_eq!(fs::read(to.join("bin/busybox")).unwrap(), fs::read("/bin/busybox").unwrap());
            // On the standard output nothing else stands.
            let out = world.build("FROM scratch\nCOPY a.txt /only\n", &["--output", "type=tar"]).ok();
            let mut archive = tar::Archive::new(out.stdout.as_bytes());
            let names = archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string());
            assert_eq!(names.collect::<Vec<_>>(), ["only"]);
        }
    });
}

/// A server of a few files, on loopback, for as long as the test.
struct Server(u16);

/// What is there: its path, and content.
type Page = (&'static str, Vec<u8>);

impl Server {
    fn start(pages: Vec<Page>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                Server::answer(stream.unwrap(), &pages);
            }
        });
        Server(port)
    }

    fn answer(mut stream: TcpStream, pages: &[Page]) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                break;
            }
            lines.push(line);
        }
        let wanted = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
        let (status, more, body) = match pages.iter().find(|(path, _)| *path == wanted) {
            Some((_, body)) => ("200 OK", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n", &body[..]),
            None if wanted == "/moved" => ("302 Found", "Location: /dir/file.txt\r\n", &b""[..]),
            None => ("404 Not Found", "", &b"no"[..]),
        };
        let head =
            format!("HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        // Who asked may have gone.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.0)
    }
}

#[test]
fn files_are_added_by_their_address() {
    sandbox(|sandbox| {
        let packed = {
            let mut tar = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o640);
            header.set_size(1);
            tar.append_data(&mut header, "in/side", &b"s"[..]).unwrap();
            tar.into_inner().unwrap()
        };
        let digest = Digest::of(b"the file");
        let server = Server::start(vec![("/dir/file.txt", b"the file".to_vec()), ("/a.tar", packed.clone())]);
        for world in [World::new(sandbox), World::rootless(sandbox)] {
            let (file, moved, archive) =
                (server.url("/dir/file.txt"), server.url("/moved"), server.url("/a.tar"));
            let text = format!(
                "FROM scratch\nADD {file} /d/\nADD --checksum={digest} {file} /checked\n\
                 ADD --chown=5:6 --chmod=644 {moved} /e/\nADD {archive} /f/\nADD --unpack=true {archive} /g/\n"
            );
            let words = ["--output", "type=docker,dest=x.tar"];
            world.build(&text, &words).succeeds();
            let again = world.build(&text, &words).ok();
            assert_eq!(again.stderr.matches("CACHED").count(), 5, "{}", again.stderr);
            let image = Image::read(&world.context().join("x.tar"));
            let line = |mode: &str, bytes: &[u8]| {
                format!("file {mode} {} {}", bytes.len(), Digest::of(bytes).short())
            };
            for (path, wanted) in [
                ("d/file.txt", line("600 0:0", b"the file")),
                ("checked", line("600 0:0", b"the file")),
                ("e/moved", line("644 5:6", b"the file")),
                ("f/a.tar", line("600 0:0", &packed)),
                ("g/in/side", line("640 0:0", b"s")),
            ] {
                assert_eq!(image.files[path], wanted, "{path}");
            }
            world.build(&format!("FROM scratch\nADD {file} /\n"), &["-o", "out"]).succeeds();
            let modified = fs::metadata(world.context().join("out/file.txt")).unwrap().mtime();
            assert_eq!(modified, 784_111_777);
            let other = Digest::of(b"another");
            for (step, words) in [
                (
                    format!("ADD --checksum={other} {file} /"),
                    format!("its digest is `{digest}`, not `{other}`"),
                ),
                (format!("ADD {} /", server.url("/absent")), "404".to_owned()),
                (format!("COPY {file} /"), "ADD".to_owned()),
            ] {
                let e = world.build(&format!("FROM scratch\n{step}\n"), &["-t", "never"]);
                e.fails();
                assert!(e.stderr.contains(&words), "{step}: {}", e.stderr);
            }
            assert!(!world.taru(&["images"]).output().ok().stdout.contains("never"));
        }
    });
}

/// An agent, ended with the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_agent_signs_for_its_step_alone() {
    sandbox(|sandbox| {
        for world in [World::new(sandbox), World::rootless(sandbox)] {
            if !world.tools(&["/usr/bin/ssh-add"], "ssh-add (openssh-client)") {
                return;
            }
            let as_user = |program: &str| {
                let id = if world.user { USER } else { 0 };
                let mut command = Command::new("setpriv");
                command.args(["--clear-groups", &format!("--reuid={id}"), &format!("--regid={id}"), program]);
                command
            };
            let (key, socket) = (world.dir().join("key"), world.dir().join("agent"));
            let quiet =
                |command: &mut Command| command.stdin(Stdio::null()).output().unwrap().status.success();
            assert!(quiet(
                as_user("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-C", "taru-test", "-f"])
                    .arg(&key)
            ));
            let agent = as_user("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
            let Ok(agent) = agent.map(Agent) else {
                return skip(sandbox.name(), "ssh-agent (openssh-client)");
            };
            eventually("the agent listens", || socket.exists());
            assert!(quiet(as_user("ssh-add").env("SSH_AUTH_SOCK", &socket).arg(&key)));
            fs::remove_file(&key).unwrap();
            let public = fs::read_to_string(key.with_extension("pub")).unwrap();
            fs::copy(key.with_extension("pub"), world.context().join("key.pub")).unwrap();
            chown(world.context().join("key.pub"), Some(0), Some(0)).unwrap();

            let text = World::with_busybox(
                "COPY tools /\nCOPY key.pub /\n\
                 RUN --mount=type=ssh,required ssh-add -L > /listed && ssh-add -T /key.pub && echo $SSH_AUTH_SOCK > /where\n\
                 RUN --mount=type=ssh,id=second,target=/s/ock,mode=0666,uid=5 [ $SSH_AUTH_SOCK = /s/ock ] && \
                 ssh-add -L > /second && stat -c '%a %u' /s/ock > /mode\n\
                 RUN [ -z \"$SSH_AUTH_SOCK\" ] && [ ! -e /run ] && [ ! -e /s ]\n\
                 RUN --mount=type=ssh,id=third [ -z \"$SSH_AUTH_SOCK\" ]\n",
            );
            world.file("Dockerfile", &text);
            let second = format!("second={}", socket.display());
            let build =
                ["build", "--progress", "plain", "--ssh", "default", "--ssh", &second, "-t", "x", "."];
            world.taru(&build).env("SSH_AUTH_SOCK", &socket).output().succeeds();
            let files = ["/listed", "/second", "/where", "/mode"];
            let seen = world.taru(&[&["run", "--rm", "x", "cat"], &files[..]].concat()).output().ok().stdout;
            let wanted = format!(
                "{public}{public}/run/buildkit/ssh_agent.0\n666 {}\n",
                if world.user { 0 } else { 5 }
            );
            assert_eq!(seen, wanted);

            let step = World::with_busybox("RUN --mount=type=ssh,required true\n");
            let e = world.build(&step, &[]);
            assert!(
                e.stderr.contains("the agent `default`") && e.stderr.contains("--ssh default"),
                "{}",
                e.stderr
            );
            drop(agent);
            let e = world.build(&step, &["--ssh", &format!("default={}", socket.display())]);
            assert!(e.stderr.contains("lead to the agent"), "{}", e.stderr);
            // Nothing of the agent is in the store.
            let found = Command::new("find").arg(world.store()).args(["-type", "s"]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&found.stdout), "");
        }
    });
}
