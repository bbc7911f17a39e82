//! The macro behind every set of flags, so that no `libc` integer type shows in a signature.

/// Declares a set of flags as a newtype over the kernel's integer.
///
/// The named constants are the kernel's; `a | b` joins, [`contains`](Self::contains) asks, `without` takes away.
macro_rules! flags {
    (
        $(#[$doc:meta])*
        $vis:vis struct $Name:ident: $repr:ty {
            $( $(#[$one:meta])* $FLAG:ident = $value:expr; )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        $vis struct $Name($repr);

        impl $Name {
            $( $(#[$one])* pub const $FLAG: $Name = $Name($value as $repr); )*

            /// No flag at all.
            pub const fn empty() -> $Name {
                $Name(0)
            }

            /// The set with these bits, known here or not.
            pub const fn from_bits(bits: $repr) -> $Name {
                $Name(bits)
            }

            /// The kernel's number.
            pub const fn bits(self) -> $repr {
                self.0
            }

            /// Whether no flag is in the set.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Whether all flags of `other` are in the set.
            pub const fn contains(self, other: $Name) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether some flag of `other` is in the set.
            pub const fn intersects(self, other: $Name) -> bool {
                self.0 & other.0 != 0
            }

            /// The flags of either set; `|` for constants.
            #[must_use]
            pub const fn union(self, other: $Name) -> $Name {
                $Name(self.0 | other.0)
            }

            /// The flags of this set that are not in `other`.
            #[must_use]
            pub const fn without(self, other: $Name) -> $Name {
                $Name(self.0 & !other.0)
            }
        }

        impl std::ops::BitOr for $Name {
            type Output = $Name;
            fn bitor(self, other: $Name) -> $Name {
                self.union(other)
            }
        }

        impl std::ops::BitOrAssign for $Name {
            fn bitor_assign(&mut self, other: $Name) {
                self.0 |= other.0;
            }
        }

        impl std::ops::BitAnd for $Name {
            type Output = $Name;
            fn bitand(self, other: $Name) -> $Name {
                $Name(self.0 & other.0)
            }
        }

        impl std::fmt::Debug for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                #[allow(unused_mut, reason = "a set may have no flags yet")]
                let mut left = self.0;
                let mut names: Vec<&str> = Vec::new();
                $(
                    let flag: $repr = $Name::$FLAG.0;
                    if flag != 0 && left & flag == flag {
                        names.push(stringify!($FLAG));
                        left &= !flag;
                    }
                )*
                if left != 0 {
                    return write!(f, "{}({}|{:#x})", stringify!($Name), names.join("|"), left);
                }
                write!(f, "{}({})", stringify!($Name), names.join("|"))
            }
        }
    };
}

pub(crate) use flags;

#[cfg(test)]
#[allow(unreachable_pub, dead_code, reason = "the macro is written for public sets")]
mod tests {
    flags! {
        /// Two flags.
        struct Two: u32 {
            /// one
            A = 1;
            /// two
            B = 2;
        }
    }

    #[test]
    fn sets_join_ask_take_away_and_print() {
        let both = Two::A | Two::B;
        assert!(both.contains(Two::A) && both.intersects(Two::B) && !Two::empty().intersects(both));
        assert_eq!(both.without(Two::A), Two::B);
        assert_eq!(format!("{both:?}"), "Two(A|B)");
        assert_eq!(format!("{:?}", Two::from_bits(9)), "Two(A|0x8)");
    }
}
