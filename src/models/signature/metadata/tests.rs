use super::*;

#[test]
fn pairs_are_read() {
    let found = Statement::parse(
        "range=-1..1, layout = nhwc;channel-order=bgr,align=128,pad=zeros,timestep=none,output=a:0,family=film,name=My net,light=levelled,input.steps-of=20",
    );
    let expected = Statement {
        name: Some("My net".into()),
        family: Some(ModelFamily::Film),
        range: Some(Range::Signed),
        layout: Some(Layout::Nhwc),
        channel_order: Some(ChannelOrder::Bgr),
        align: Some(128),
        pad: Some(Padding::Zeros),
        constants: BTreeMap::from([("steps-of".into(), 20.0)]),
        timestep: Some(StatedPhase::None),
        output: Some("a:0".into()),
        flow_unit: None,
        light: Some(()),
    };
    assert_eq!(found, Ok(expected));
    assert_eq!(Statement::parse(" "), Ok(Statement::default()));
}

#[test]
fn toml_says_the_same() {
    let text = "# of a network\nrange = \"-1..1\"\nalign = 32\nchannel_order = \"bgr\"\n";
    assert_eq!(
        Statement::from_toml(text),
        Statement::parse("range=-1..1,align=32,channel_order=bgr")
    );
    for text in [
        "input.steps = 20\ninput.s = 0.5",
        "[input]\nsteps = 20\ns = 0.5",
    ] {
        let found = Statement::from_toml(text);
        assert_eq!(found, Statement::parse("input.steps=20,input.s=0.5"));
    }
}

#[test]
fn what_is_not_understood_is_said_with_what_is() {
    for (text, parts) in [
        ("rang=0..1", ["`rang` is no key", "channel_order"]),
        ("range=0..255", ["range is `0..255`", "0..1 and -1..1"]),
        ("layout=chwn", ["layout is `chwn`", "nchw and nhwc"]),
        ("align=0", ["align is `0`", "1 to 1024"]),
        ("align=many", ["align is `many`", "1 to 1024"]),
        ("timestep=maybe", ["timestep", "none, scalar and plane"]),
        ("family=dain", ["family", "auto, rife, film and midpoint"]),
        ("align=1,align=2", ["`align`", "twice"]),
        ("0..1", ["`0..1`", "key=value"]),
        (
            "pad=mirror",
            ["pad is `mirror`", "repeat, reflect and zeros"],
        ),
        ("input.steps=few", ["input.steps is `few`", "a number"]),
        ("input.a=1,input.a=2", ["`input.a`", "twice"]),
    ] {
        let why = Statement::parse(text).unwrap_err();
        assert!(parts.iter().all(|part| why.contains(part)), "{why}");
    }
    for (text, part) in [
        ("range = ", "TOML parse error"),
        ("colour = \"bgr\"", "`colour` is no key"),
        ("align = 1.5", "float"),
        ("[family]\nname = \"rife\"", "table"),
    ] {
        let why = Statement::from_toml(text).unwrap_err();
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn the_user_overrules_the_file_beside_and_that_the_metadata() {
    let said = |text| Statement::parse(text).unwrap();
    let user = Origin::Property("model-info");
    let stated = Stated::default()
        .and(user.clone(), said("align=8"))
        .and(
            Origin::Sidecar("a.toml".into()),
            said("align=16,range=-1..1"),
        )
        .and(Origin::Metadata, said("align=32,range=0..1,layout=nchw"));
    let sidecar = Origin::Sidecar("a.toml".into());
    assert_eq!(stated.get(|s| s.align.as_ref()), Some((&8, &user)));
    assert_eq!(
        stated.get(|s| s.range.as_ref()),
        Some((&Range::Signed, &sidecar))
    );
    assert_eq!(
        stated.get(|s| s.layout.as_ref()),
        Some((&Layout::Nchw, &Origin::Metadata))
    );
    assert_eq!(stated.get(|s| s.output.as_ref()), None);
    assert!(!stated.is_empty());
    let nothing = Stated::default().and(user, said(""));
    assert!(nothing.is_empty());
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let gather = |info: &str| Stated::gather(ModelFamily::Auto, info, None);
    let why = gather("/nowhere/rife.toml").unwrap_err();
    assert!(why.contains("/nowhere/rife.toml"), "{why}");
    let why = gather("ranges=1").unwrap_err();
    assert!(why.starts_with("model-info"), "{why}");
}

#[test]
fn what_nests_as_deep_as_a_file_is_long_is_refused() {
    for open in ["[", "{a=", "a."] {
        let text = format!("a = {}", open.repeat(MAX_SIDECAR as usize / open.len()));
        assert!(Statement::from_toml(&text).is_err(), "{open}");
    }
    let keys = "a.".repeat(MAX_SIDECAR as usize / 2);
    assert!(Statement::from_toml(&format!("{keys}a = 1")).is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_odd(text in "\\PC{0,60}", toml in "[a-z=\"\\[\\]0-9.\n #]{0,60}") {
        let _ = Statement::parse(&text);
        let _ = Statement::from_toml(&toml);
    }
}
