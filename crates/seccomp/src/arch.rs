//! The architectures a profile can name.

/// An architecture (more precisely, an ABI) whose system calls a filter judges.
///
/// The little-endian forms of MIPS and PowerPC are architectures of their own to the kernel, with the tables
/// of their big-endian siblings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Arch {
    X86_64,
    X86,
    /// 32-bit pointers in 64-bit mode: numbers with bit 30 set, on [`Arch::X86_64`].
    X32,
    Aarch64,
    Arm,
    Riscv64,
    Loongarch64,
    Mips,
    Mips64,
    Mips64n32,
    Mipsel,
    Mipsel64,
    Mipsel64n32,
    Ppc,
    Ppc64,
    Ppc64le,
    S390,
    S390x,
}

/// The bit that marks a system call number of the x32 ABI.
pub const X32_BIT: u32 = 0x4000_0000;

/// Each architecture, the name the OCI specification gives it, and its AUDIT_ARCH constant
/// (`linux/audit.h`: the ELF machine, with bit 31 for 64 bits, bit 30 for little endian, bit 29 for n32).
const ARCHES: [(Arch, &str, u32); 18] = [
    (Arch::X86_64, "SCMP_ARCH_X86_64", 0xc000_003e),
    (Arch::X86, "SCMP_ARCH_X86", 0x4000_0003),
    (Arch::X32, "SCMP_ARCH_X32", 0xc000_003e),
    (Arch::Aarch64, "SCMP_ARCH_AARCH64", 0xc000_00b7),
    (Arch::Arm, "SCMP_ARCH_ARM", 0x4000_0028),
    (Arch::Riscv64, "SCMP_ARCH_RISCV64", 0xc000_00f3),
    (Arch::Loongarch64, "SCMP_ARCH_LOONGARCH64", 0xc000_0102),
    (Arch::Mips, "SCMP_ARCH_MIPS", 0x0000_0008),
    (Arch::Mips64, "SCMP_ARCH_MIPS64", 0x8000_0008),
    (Arch::Mips64n32, "SCMP_ARCH_MIPS64N32", 0xa000_0008),
    (Arch::Mipsel, "SCMP_ARCH_MIPSEL", 0x4000_0008),
    (Arch::Mipsel64, "SCMP_ARCH_MIPSEL64", 0xc000_0008),
    (Arch::Mipsel64n32, "SCMP_ARCH_MIPSEL64N32", 0xe000_0008),
    (Arch::Ppc, "SCMP_ARCH_PPC", 0x0000_0014),
    (Arch::Ppc64, "SCMP_ARCH_PPC64", 0x8000_0015),
    (Arch::Ppc64le, "SCMP_ARCH_PPC64LE", 0xc000_0015),
    (Arch::S390, "SCMP_ARCH_S390", 0x0000_0016),
    (Arch::S390x, "SCMP_ARCH_S390X", 0x8000_0016),
];

impl Arch {
    /// The architecture this code is compiled for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Arch = Arch::X86_64;
    /// The architecture this code is compiled for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Arch = Arch::Aarch64;
    /// The architecture this code is compiled for.
    #[cfg(target_arch = "riscv64")]
    pub const NATIVE: Arch = Arch::Riscv64;

    /// All architectures.
    pub fn all() -> impl Iterator<Item = Arch> {
        ARCHES.iter().map(|(arch, ..)| *arch)
    }

    /// The architecture of an OCI name such as `SCMP_ARCH_X86_64`.
    pub fn from_oci(name: &str) -> Option<Arch> {
        ARCHES.iter().find(|(_, oci, _)| *oci == name).map(|(arch, ..)| *arch)
    }

    /// The name in OCI documents.
    pub fn oci_name(self) -> &'static str {
        ARCHES.iter().find(|(arch, ..)| *arch == self).map_or("", |(_, name, _)| name)
    }

    /// The value of `seccomp_data.arch`. X32 has that of [`Arch::X86_64`].
    pub fn audit(self) -> u32 {
        ARCHES.iter().find(|(arch, ..)| *arch == self).map_or(0, |(.., audit)| *audit)
    }

    /// Whether an argument has 64 bits. On the n32 ABI it has, but only the low half is compared, as
    /// libseccomp does: its registers hold sign-extended 32-bit values.
    pub(crate) fn is_64bit(self) -> bool {
        match self {
            Arch::X86 | Arch::Arm | Arch::Mips | Arch::Mipsel | Arch::Ppc | Arch::S390 => false,
            Arch::X32 | Arch::Mips64n32 | Arch::Mipsel64n32 => false,
            Arch::X86_64 | Arch::Aarch64 | Arch::Riscv64 | Arch::Loongarch64 | Arch::Mips64 => true,
            Arch::Mipsel64 | Arch::Ppc64 | Arch::Ppc64le | Arch::S390x => true,
        }
    }

    /// Whether the low half of an argument comes second in memory.
    pub(crate) fn is_big_endian(self) -> bool {
        // Bit 30 of the audit constant says little endian.
        self.audit() & 0x4000_0000 == 0
    }

    /// Whether socket and System V IPC calls (also) go through `socketcall` and `ipc`.
    pub(crate) fn is_multiplexed(self) -> bool {
        use Arch::{Mips, Mipsel, Ppc, Ppc64, Ppc64le, S390, S390x, X86};
        matches!(self, X86 | S390 | S390x | Ppc | Ppc64 | Ppc64le | Mips | Mipsel)
    }

    /// Where the numbers begin (`__NR_Linux` on MIPS).
    pub(crate) fn first_number(self) -> u32 {
        match self {
            Arch::Mips | Arch::Mipsel => 4000,
            Arch::Mips64 | Arch::Mipsel64 => 5000,
            Arch::Mips64n32 | Arch::Mipsel64n32 => 6000,
            _ => 0,
        }
    }

    /// The column of the table of numbers.
    pub(crate) fn column(self) -> usize {
        match self {
            Arch::X86_64 => 0,
            Arch::X86 => 1,
            Arch::X32 => 2,
            Arch::Aarch64 => 3,
            Arch::Arm => 4,
            Arch::Riscv64 => 5,
            Arch::Loongarch64 => 6,
            Arch::Mips | Arch::Mipsel => 7,
            Arch::Mips64 | Arch::Mipsel64 => 8,
            Arch::Mips64n32 | Arch::Mipsel64n32 => 9,
            Arch::Ppc => 10,
            Arch::Ppc64 | Arch::Ppc64le => 11,
            Arch::S390 => 12,
            Arch::S390x => 13,
        }
    }
}
