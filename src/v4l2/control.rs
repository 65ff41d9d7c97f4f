//! The controls of a device: brightness, exposure, focus and whatever else its driver lets be set.
//!
//! Promises: what a driver says of its controls is bounded, plain and without contradiction, whatever it
//! said; nothing is set that the driver would quietly bend to its range.

mod access;
mod event;
pub(super) mod kernel;
mod list;
mod order;
mod value;

pub use access::{Refused, check, settle};
pub use event::Watch;
pub use kernel::{Access, Payload};
pub use list::{Listing, controls};
pub use order::{apply_order, automatic_of};
pub use value::Value;

/// Of an array or a text, bytes; a longer one is shown without its value and cannot be set.
const MAX_PAYLOAD: usize = 1 << 16;

/// The number of the control that stands for the input, and that is none of any driver's.
pub(super) const INPUT: u32 = 1;
/// The same for the video standard.
pub(super) const STANDARD: u32 = 2;

/// What can be set on a device, or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The driver's number of it (`V4L2_CID_…`); 1 and 2 stand for the input and the standard.
    pub id: u32,
    /// Its name in small letters, digits and `_`; no two of a device have the same.
    pub name: String,
    /// The driver's name of it, for people.
    pub label: String,
    /// The driver's name of the group that it belongs to; empty when it has none.
    pub group: String,
    /// What its values are.
    pub kind: Kind,
    /// What values it takes, of kinds that have a range.
    pub range: Option<Range>,
    /// Of menus: what can be chosen, by the value that stands for it.
    pub menu: Vec<(i64, String)>,
    /// What the driver says of it beside that.
    pub flags: Vec<Flag>,
    /// Elements in each direction; empty = it is a single value.
    pub dims: Vec<u32>,
    /// Bytes of one element.
    elem_size: usize,
    /// Elements in all.
    elems: usize,
}

impl Control {
    /// One that is ours: a choice among what the driver lists elsewhere.
    pub(super) fn chosen(id: u32, name: &str, label: &str, menu: Vec<(i64, String)>) -> Control {
        let maximum = menu.last().map_or(0, |(value, _)| *value);
        Control {
            id,
            name: name.into(),
            label: label.into(),
            group: "Source".into(),
            kind: Kind::Menu,
            range: Some(Range { minimum: 0, maximum, step: 1, default: 0 }),
            menu,
            flags: vec![Flag::Update, Flag::ModifyLayout],
            dims: Vec::new(),
            elem_size: 4,
            elems: 1,
        }
    }

    /// Whether the driver says this of it.
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }

    /// Whether it stands for the input or the standard of an analog device, which decide on all the rest.
    pub fn is_source(&self) -> bool {
        matches!(self.id, INPUT | STANDARD)
    }

    /// Whether another set of formats and sizes may follow from setting it.
    pub fn changes_modes(&self) -> bool {
        self.is_source() || self.has(Flag::ModifyLayout)
    }

    /// Whether a value that was set once means something the next time: a button is pressed, not set.
    pub fn can_be_kept(&self) -> bool {
        self.kind != Kind::Button && !self.has(Flag::ExecuteOnWrite)
    }
}

/// The range of a number, the length of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Least.
    pub minimum: i64,
    /// Most, not below the least.
    pub maximum: i64,
    /// At least 1.
    pub step: u64,
    /// What it is when nobody has set it; within the range.
    pub default: i64,
}

macro_rules! words {
    ($(#[$about:meta])* $kind:ident { $($(#[$doc:meta])* $name:ident = $word:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind { $($(#[$doc])* $name),+ }

        impl $kind {
            /// Its word in the API.
            pub fn word(self) -> &'static str {
                match self { $($kind::$name => $word),+ }
            }
        }
    };
}

words!(
    /// What the values of a control are.
    Kind {
        /// A whole number.
        Integer = "integer",
        /// Yes or no.
        Boolean = "boolean",
        /// One of a list, by number.
        Menu = "menu",
        /// One of a list of numbers, by its place.
        IntegerMenu = "integer_menu",
        /// Something that happens when it is set.
        Button = "button",
        /// A whole number of 64 bits.
        Integer64 = "integer64",
        /// Text.
        Text = "string",
        /// Bits, as a number.
        Bitmask = "bitmask",
        /// Numbers without sign of 8 bits.
        U8 = "u8",
        /// Numbers without sign of 16 bits.
        U16 = "u16",
        /// Numbers without sign of 32 bits.
        U32 = "u32",
        /// A structure of its own; shown without value.
        Compound = "compound",
    }
);

words!(
    /// What a driver says of a control beside its range (`V4L2_CTRL_FLAG_…`).
    Flag {
        /// For good.
        Disabled = "disabled",
        /// For now: somebody uses what it would change.
        Grabbed = "grabbed",
        /// Can only be read.
        ReadOnly = "read_only",
        /// Setting it changes others.
        Update = "update",
        /// Has no effect at present.
        Inactive = "inactive",
        /// Best shown as a slider.
        Slider = "slider",
        /// Can only be set.
        WriteOnly = "write_only",
        /// Changes by itself.
        Volatile = "volatile",
        /// Setting it to what it is does something.
        ExecuteOnWrite = "execute_on_write",
        /// Setting it may change the size of pictures.
        ModifyLayout = "modify_layout",
    }
);

#[cfg(test)]
mod tests;
