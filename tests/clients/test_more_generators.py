"""Clients by more generators, generated as the how-to page says, compiled and used.

OpenAPI Generator's in Go, Java, Rust and TypeScript, Hey API's in TypeScript. What the code of the first
three needs besides the language is not fetched: Java finds it in the generator's own jar, Rust in Debian's
packages of crates (older ones than the generator asks for), and the rest is written here in a few lines.
Each test takes a minute or so: `make clients` runs them.
"""

import re
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.clients.making import HERE, TOOLS, installed, ran, written
from tests.support.description import description
from webhookd.api.description.audience import for_partners

pytestmark = [pytest.mark.slow, pytest.mark.long]

HEY_API: Final = "@hey-api/openapi-ts@0.99.0"
TYPESCRIPT: Final = "typescript@5.9.3"
GENERATOR: Final = "openapi-generator-cli==7.26.0"
PAGE: Final = HERE.parents[1] / "docs" / "how-to" / "generate-a-client.md"
CRATES: Final = Path("/usr/share/cargo/registry")

GO_MODULE: Final = """\
module partner

go 1.19

require gopkg.in/validator.v2 v2.0.0

replace gopkg.in/validator.v2 => ./validator
"""
GO_VALIDATOR: Final = "package validator\n\nfunc Validate(interface{}) error { return nil }\n"

JAVA_GENERATED: Final = """\
package javax.annotation;
public @interface Generated { String value(); String comments() default ""; String date() default ""; }
"""

RUST_PROGRAM: Final = """\
[package]
name = "partner"
version = "0.1.0"
edition = "2021"
[dependencies]
webhookd = { path = "webhookd" }
serde_json = "1"
tokio = { version = "1", features = ["rt", "macros"] }
[lints.rust]
warnings = "deny"
"""
RUST_SOURCE: Final = f"""\
[source.crates-io]
replace-with = "packaged"
[source.packaged]
directory = "{CRATES}"
"""
RUST_OLDER: Final = {
    "serde_with": '{ path = "../serde_with" }',
    "tokio": '{ version = "1", features = ["fs"] }',
    "reqwest": '{ version = "0.11", default-features = false, features = ["json", "multipart", "stream"] }',
    "url": '"2"',
    "rustls": "[]",
}
RUST_SERDE_WITH: Final = """\
[package]
name = "serde_with"
version = "3.8.0"
edition = "2021"
[dependencies]
serde = "1"
"""
RUST_DOUBLE_OPTION: Final = """\
pub mod rust {
    pub mod double_option {
        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Option<T>>, D::Error> {
            Deserialize::deserialize(from).map(Some)
        }

        pub fn serialize<S: Serializer, T: Serialize>(
            value: &Option<Option<T>>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            value.as_ref().and_then(Option::as_ref).serialize(to)
        }
    }
}
"""


TYPESCRIPT_PROJECT: Final = {
    "compilerOptions": {
        "strict": True,
        "target": "es2022",
        "module": "commonjs",
        "moduleResolution": "node10",
        "lib": ["es2022", "dom", "dom.iterable"],
        "types": [],
        "outDir": "out",
    },
    "files": ["program.ts"],
}


def tool(name: str, how: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} on the PATH: {how}")
    return found


def generated(language: str, folder: Path) -> tuple[Path, Path]:
    """Make a client as the page says, into `folder`; return the client and the generator's jar."""
    java = tool("java", "install the system's JDK")
    tools = installed(
        TOOLS / "openapi-generator",
        GENERATOR,
        (sys.executable, "-m", "venv", "."),
        (TOOLS / "openapi-generator" / "bin" / "python", "-m", "pip", "install", "--quiet", GENERATOR),
    )
    [jar] = tools.glob("lib/python*/site-packages/openapi_generator_cli/*.jar")
    [options] = re.findall(
        rf"openapi-generator-cli generate -i api.json -g {language} -o client((?:.*\\\n)*.*)",
        PAGE.read_text(),
    )
    written(folder / "api.json", for_partners(description()))
    arguments = options.replace("\\\n", " ").split()
    ran(
        java,
        "-jar",
        jar,
        "generate",
        "-i",
        "api.json",
        "-g",
        language,
        "-o",
        "client",
        *arguments,
        cwd=folder,
    )
    return folder / "client", jar


def typescript() -> Path:
    """Return the programs of Hey API and TypeScript."""
    npm = tool("npm", "install the system's nodejs and npm")
    folder = TOOLS / "hey-api"
    install = (npm, "install", "--no-audit", "--no-fund", "--no-package-lock", HEY_API, TYPESCRIPT)
    return installed(folder, f"{HEY_API} {TYPESCRIPT}", install) / "node_modules" / ".bin"


def ran_typescript(programs: Path, program: str, folder: Path, partner: dict[str, str]) -> str:
    """Compile the program and the client beside it under `strict`, run it, return what it says."""
    shutil.copy(HERE / program, folder / "program.ts")
    written(folder / "tsconfig.json", TYPESCRIPT_PROJECT)
    ran(programs / "tsc", "-p", ".", cwd=folder)
    return ran(tool("node", ""), "out/program.js", cwd=folder, env=partner).strip()


def test_fetch_client_compiles_under_strict_and_works(partner: dict[str, str], tmp_path: Path) -> None:
    programs = typescript()
    generated("typescript-fetch", tmp_path)
    assert ran_typescript(programs, "program.fetch.ts.txt", tmp_path, partner) == "invalid"


def test_hey_api_client_compiles_under_strict_and_works(partner: dict[str, str], tmp_path: Path) -> None:
    programs = typescript()
    told = written(tmp_path / "api.json", for_partners(description()))
    ran(programs / "openapi-ts", "-i", told, "-o", "client", "-c", "@hey-api/client-fetch", cwd=tmp_path)
    assert ran_typescript(programs, "program.hey.ts.txt", tmp_path, partner) == "invalid"


def test_go_client_satisfies_vet_and_works(partner: dict[str, str], tmp_path: Path) -> None:
    go = tool("go", "install golang-go")
    made, _ = generated("go", tmp_path)
    package = tmp_path / "webhookd"
    package.mkdir()
    for source in made.glob("*.go"):
        shutil.copy(source, package)
    validator = tmp_path / "validator"
    validator.mkdir()
    (validator / "validator.go").write_text(GO_VALIDATOR)
    (validator / "go.mod").write_text("module gopkg.in/validator.v2\n\ngo 1.19\n")
    (tmp_path / "go.mod").write_text(GO_MODULE)
    shutil.copy(HERE / "program.go.txt", tmp_path / "main.go")
    offline = {"GOPROXY": "off", "GOFLAGS": "-mod=mod"}
    ran(go, "vet", ".", "./webhookd", cwd=tmp_path, env=offline)
    ran(go, "build", "-o", "program", ".", cwd=tmp_path, env=offline)
    assert ran(tmp_path / "program", cwd=tmp_path, env=partner).strip() == "invalid"


def test_java_client_compiles_without_a_warning_and_works(partner: dict[str, str], tmp_path: Path) -> None:
    javac = tool("javac", "install the system's JDK")
    made, jar = generated("java", tmp_path)
    (tmp_path / "Generated.java").write_text(JAVA_GENERATED)
    shutil.copy(HERE / "Program.java.txt", tmp_path / "Program.java")
    sources = [*(made / "src" / "main" / "java").rglob("*.java"), *tmp_path.glob("*.java")]
    # What is left out is of the generator's templates, whatever the description says.
    strict = ("-Xlint:all,-serial,-deprecation", "-Werror", "-proc:none")
    ran(javac, *strict, "-cp", jar, "-d", "classes", *sources, cwd=tmp_path)
    said = ran(tool("java", ""), "-cp", f"{jar}:classes", "Program", cwd=tmp_path, env=partner)
    assert said.strip() == "invalid"


def test_rust_client_compiles_without_a_warning_and_works(partner: dict[str, str], tmp_path: Path) -> None:
    cargo = tool("cargo", "install a Rust toolchain")
    if not list(CRATES.glob("reqwest-0.11.*")):
        pytest.skip(
            "no crates: install librust-reqwest-dev, librust-serde-repr-dev, librust-chrono-dev, libssl-dev"
        )
    made, _ = generated("rust", tmp_path)
    made.rename(tmp_path / "webhookd")
    manifest = tmp_path / "webhookd" / "Cargo.toml"
    lines = manifest.read_text().splitlines()
    names = [line.partition(" = ")[0] for line in lines]
    manifest.write_text(
        "\n".join(
            f"{name} = {RUST_OLDER[name]}" if name in RUST_OLDER else line
            for name, line in zip(names, lines, strict=True)
        )
    )
    for path, text in {
        ".cargo/config.toml": RUST_SOURCE,
        "serde_with/Cargo.toml": RUST_SERDE_WITH,
        "serde_with/src/lib.rs": RUST_DOUBLE_OPTION,
        "Cargo.toml": RUST_PROGRAM,
        "src/main.rs": (HERE / "program.rs.txt").read_text(),
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    ran(cargo, "build", "--offline", "--quiet", cwd=tmp_path)
    program = tmp_path / "target" / "debug" / "partner"
    assert ran(program, cwd=tmp_path, env=partner).strip() == "invalid"
