//! Fieldcam.
