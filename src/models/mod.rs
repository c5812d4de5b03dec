//! The inference side: a network file becomes an interpolator that turns a pair of pictures and a
//! phase into motion or a picture. It knows no pads, no buffers and no clock.
