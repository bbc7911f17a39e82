//! System call names and their numbers.

mod table;

use crate::arch::Arch;

/// One name and its numbers on each architecture. The name is stored in place, so that the table needs no
/// relocation when a position-independent executable starts.
struct Row {
    name: [u8; 31],
    length: u8,
    numbers: [u16; 14],
}

/// Rows by the hash of their names, open addressing; twice as many slots as rows and more.
static SLOTS: [u16; 2048] = slots();

const fn slots() -> [u16; 2048] {
    let mut slots = [NONE; 2048];
    let mut at = 0;
    while at < table::TABLE.len() {
        let row = &table::TABLE[at];
        let (name, _) = row.name.split_at(row.length as usize);
        let mut slot = hash(name);
        while slots[slot] != NONE {
            slot = (slot + 1) % slots.len();
        }
        slots[slot] = at as u16;
        at += 1;
    }
    slots
}

/// Changes with the table, if not by chance: what was compiled with another one is not to be used.
pub(crate) const TABLE_HASH: u64 = {
    let mut hash = 0u64;
    let mut at = 0;
    while at < table::TABLE.len() {
        let mut column = 0;
        while column < table::TABLE[at].numbers.len() {
            hash = (hash.rotate_left(5) ^ table::TABLE[at].numbers[column] as u64)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            column += 1;
        }
        at += 1;
    }
    hash
};

/// FNV-1a, folded to a slot.
const fn hash(name: &[u8]) -> usize {
    let mut hash = 0x811c_9dc5u32;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    ((hash >> 16) ^ hash) as usize % SLOTS.len()
}

/// No such call on that architecture.
const NONE: u16 = u16::MAX;

const fn row(name: &str, numbers: [u16; 14]) -> Row {
    let bytes = name.as_bytes();
    let mut padded = [0; 31];
    let mut i = 0;
    while i < bytes.len() {
        padded[i] = bytes[i];
        i += 1;
    }
    Row { name: padded, length: bytes.len() as u8, numbers }
}

/// The number of the system call `name` on `arch`, without the x32 bit; `None` if it has none there.
pub fn syscall_number(name: &str, arch: Arch) -> Option<u32> {
    Syscall::find(name)?.number(arch)
}

/// The names of all known system calls, sorted.
pub fn syscall_names() -> impl Iterator<Item = &'static str> {
    table::TABLE.iter().map(Row::name)
}

impl Row {
    fn name(&self) -> &str {
        let name = self.name.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(name).unwrap_or_default()
    }
}

/// A system call that some architecture has.
#[derive(Clone, Copy)]
pub(crate) struct Syscall(&'static Row);

impl Syscall {
    /// The call of that name, by a hash table made at compile time.
    pub(crate) fn find(name: &str) -> Option<Syscall> {
        let mut slot = hash(name.as_bytes());
        loop {
            let row = table::TABLE.get(usize::from(*SLOTS.get(slot)?))?;
            if row.name() == name {
                return Some(Syscall(row));
            }
            slot = (slot + 1) % SLOTS.len();
        }
    }

    /// Its place behind a multiplexer, on the architectures that have them.
    pub(crate) fn behind(self) -> Option<Behind> {
        behind(self.0.name())
    }

    pub(crate) fn number(self, arch: Arch) -> Option<u32> {
        match *self.0.numbers.get(arch.column())? {
            NONE => None,
            // ARM's private calls begin at 0x0f0000.
            n if arch == Arch::Arm && n >= 0xf000 => Some(0x0f_0000 + u32::from(n - 0xf000)),
            n => Some(u32::from(n)),
        }
    }
}

/// Where a call may also be found: behind `multiplexer`, with `first` as the first argument.
pub(crate) struct Behind {
    pub(crate) multiplexer: &'static str,
    pub(crate) first: u32,
}

/// The place of a name behind `socketcall` (`linux/net.h`: SYS_SOCKET ...) or `ipc` (`linux/ipc.h`: SEMOP ...).
fn behind(name: &str) -> Option<Behind> {
    let (multiplexer, first) = match name {
        "socket" => ("socketcall", 1),
        "bind" => ("socketcall", 2),
        "connect" => ("socketcall", 3),
        "listen" => ("socketcall", 4),
        "accept" => ("socketcall", 5),
        "getsockname" => ("socketcall", 6),
        "getpeername" => ("socketcall", 7),
        "socketpair" => ("socketcall", 8),
        "send" => ("socketcall", 9),
        "recv" => ("socketcall", 10),
        "sendto" => ("socketcall", 11),
        "recvfrom" => ("socketcall", 12),
        "shutdown" => ("socketcall", 13),
        "setsockopt" => ("socketcall", 14),
        "getsockopt" => ("socketcall", 15),
        "sendmsg" => ("socketcall", 16),
        "recvmsg" => ("socketcall", 17),
        "accept4" => ("socketcall", 18),
        "recvmmsg" => ("socketcall", 19),
        "sendmmsg" => ("socketcall", 20),
        "semop" => ("ipc", 1),
        "semget" => ("ipc", 2),
        "semctl" => ("ipc", 3),
        "semtimedop" => ("ipc", 4),
        "msgsnd" => ("ipc", 11),
        "msgrcv" => ("ipc", 12),
        "msgget" => ("ipc", 13),
        "msgctl" => ("ipc", 14),
        "shmat" => ("ipc", 21),
        "shmdt" => ("ipc", 22),
        "shmget" => ("ipc", 23),
        "shmctl" => ("ipc", 24),
        _ => return None,
    };
    Some(Behind { multiplexer, first })
}
