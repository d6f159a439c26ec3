//! Looks for source laid out in a way that compilers warn about after looking at the lines of the file itself.
//!
//! GCC's `-Wmisleading-indentation` opens the source once more to measure columns, and Clang's `-Wempty-body` compares lines of the file with lines that markers
//! name. Neither works on another machine: the warning would be lost. So text that may earn such a warning is compiled here. The search knows just
//! enough of the language to follow statements; it finds a little more than the compilers do. Guards hidden in the expansion of a macro are not found.

/// What one token is, as far as statements go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    If,
    Else,
    /// `for`, `while`, `switch`.
    Loop,
    While,
    Do,
    Name,
    Open,
    Close,
    OpenBrace,
    CloseBrace,
    Semicolon,
    Colon,
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Guard {
    kind: Token,
    line: u64,
    /// First column on its line that is no space.
    indent: usize,
    /// Nothing stands before it on its line.
    first: bool,
    /// Its condition is complete.
    closed: bool,
    /// Its body is a block.
    braced: bool,
    /// Its body is nothing but a semicolon.
    empty: bool,
    /// And that stands on the line where the condition ends.
    beside: bool,
}

#[derive(Clone, Copy, Debug)]
enum Item {
    Guard(Guard),
    Paren,
    /// A block that is a statement, or other braces.
    Brace(bool),
}

/// More open brackets than this are not followed.
const MAX_DEPTH: usize = 4000;

/// Follows the statements of a source, line by line.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// Only what an empty body can earn.
    only_empty_bodies: bool,
    system_header: bool,
    directive: bool,
    comment: bool,
    raw_string: Option<Vec<u8>>,
    stack: Vec<Item>,
    /// Guards whose statement has ended, outermost first, until the next token is seen.
    ended: Vec<Guard>,
    ended_line: u64,
    line: u64,
    indent: usize,
    at_start: bool,
    /// A name at the beginning of a statement, and whether its parentheses have been closed.
    call: Option<(Guard, bool)>,
    call_depth: usize,
    /// The condition of the last guard has been closed on this line.
    closed_line: u64,
    suspicious: bool,
}

impl Layout {
    /// `only_empty_bodies`: indentation is judged well enough elsewhere.
    pub(crate) fn new(only_empty_bodies: bool) -> Layout {
        Layout {
            only_empty_bodies,
            at_start: true,
            ..Layout::default()
        }
    }

    /// Whether something has been found so far.
    pub(crate) fn is_suspicious(&self) -> bool {
        self.suspicious
    }

    /// The next line without its end.
    pub(crate) fn line(&mut self, text: &[u8]) {
        self.line += 1;
        if self.suspicious {
            return;
        }
        if self.raw_string.is_none() && !self.comment {
            let continues = text.ends_with(b"\\");
            if std::mem::replace(&mut self.directive, false) {
                self.directive = continues;
                return;
            }
            if text.first() == Some(&b'#') {
                self.marker(text);
                self.directive = continues;
                return;
            }
            if self.system_header {
                return;
            }
            let trimmed = text.trim_ascii_start();
            if trimmed.first() == Some(&b'#') {
                self.directive = continues;
                return;
            }
        }
        if !self.system_header {
            self.tokens(text);
        }
    }

    /// `# LINE "FILE" FLAGS`: flag 3 is for system headers.
    fn marker(&mut self, text: &[u8]) {
        let is_marker = text
            .strip_prefix(b"# ")
            .is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit));
        if is_marker && let Some(quote) = memchr::memrchr(b'"', text) {
            let flags = text.get(quote + 1..).unwrap_or_default();
            self.system_header = flags.contains(&b'3');
        }
    }

    fn tokens(&mut self, text: &[u8]) {
        let mut at = 0;
        let mut column = 0;
        let mut first = true;
        while let Some(&byte) = text.get(at) {
            if self.comment {
                match memchr::memmem::find(text.get(at..).unwrap_or_default(), b"*/") {
                    Some(end) => {
                        self.comment = false;
                        column += end + 2;
                        at += end + 2;
                    }
                    None => return,
                }
                continue;
            }
            if let Some(end_mark) = &self.raw_string {
                match memchr::memmem::find(text.get(at..).unwrap_or_default(), end_mark) {
                    Some(end) => {
                        let length = end + end_mark.len();
                        self.raw_string = None;
                        column += length;
                        at += length;
                    }
                    None => return,
                }
                continue;
            }
            let rest = text.get(at..).unwrap_or_default();
            match byte {
                b'\t' => {
                    column = (column / 8 + 1) * 8;
                    at += 1;
                    continue;
                }
                b' ' | 0x0b | 0x0c | b'\r' => {
                    column += 1;
                    at += 1;
                    continue;
                }
                b'/' if rest.starts_with(b"//") => return,
                b'/' if rest.starts_with(b"/*") => {
                    self.comment = true;
                    at += 2;
                    column += 2;
                    continue;
                }
                _ => {}
            }
            let (token, length) = self.token(rest);
            if std::mem::take(&mut first) {
                self.indent = column;
            }
            self.take(token, column == self.indent);
            if self.suspicious {
                return;
            }
            column += length;
            at += length;
        }
    }

    /// The token the text begins with, and its length.
    fn token(&mut self, text: &[u8]) -> (Token, usize) {
        let in_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80;
        let first = text.first().copied().unwrap_or_default();
        if first.is_ascii_digit() {
            let length = text
                .iter()
                .take_while(|b| in_name(b) || **b == b'.' || **b == b'\'')
                .count();
            return (Token::Other, length.max(1));
        }
        if in_name(&first) {
            let length = text.iter().take_while(|b| in_name(b)).count();
            let name = text.get(..length).unwrap_or_default();
            if name.ends_with(b"R") && text.get(length) == Some(&b'"') && name.len() <= 3 {
                return (Token::Other, self.raw(text, length));
            }
            let token = match name {
                b"if" => Token::If,
                b"else" => Token::Else,
                b"for" | b"switch" => Token::Loop,
                b"while" => Token::While,
                b"do" => Token::Do,
                _ => Token::Name,
            };
            return (token, length);
        }
        match first {
            b'"' | b'\'' => {
                let mut length = 1;
                while let Some(&byte) = text.get(length) {
                    length += 1;
                    match byte {
                        b'\\' => length += 1,
                        _ if byte == first => break,
                        _ => {}
                    }
                }
                (Token::Other, length.min(text.len()))
            }
            b'(' | b'[' => (Token::Open, 1),
            b')' | b']' => (Token::Close, 1),
            b'{' => (Token::OpenBrace, 1),
            b'}' => (Token::CloseBrace, 1),
            b';' => (Token::Semicolon, 1),
            b':' if text.starts_with(b"::") => (Token::Other, 2),
            b':' => (Token::Colon, 1),
            _ => (Token::Other, 1),
        }
    }

    /// `R"x(…)x"`, begun at `quote`.
    fn raw(&mut self, text: &[u8], quote: usize) -> usize {
        let after = text.get(quote + 1..).unwrap_or_default();
        let Some(open) = memchr::memchr(b'(', after) else {
            return quote + 1;
        };
        let delimiter = after.get(..open).unwrap_or_default();
        self.raw_string = Some([b")", delimiter, b"\""].concat());
        quote + 1 + open + 1
    }

    fn take(&mut self, token: Token, first_on_line: bool) {
        if !self.ended.is_empty() && self.settle(token, first_on_line) {
            return;
        }
        if self.stack.len() > MAX_DEPTH {
            self.suspicious = true;
            return;
        }
        let starts_body =
            matches!(self.stack.last(), Some(Item::Guard(guard)) if !guard.braced) && self.at_start;
        if starts_body
            && token == Token::OpenBrace
            && let Some(Item::Guard(guard)) = self.stack.last_mut()
        {
            guard.braced = true;
        }
        self.macro_guard(token, first_on_line);
        let at_start = std::mem::replace(&mut self.at_start, false);
        match token {
            Token::If | Token::Loop | Token::While | Token::Else | Token::Do => {
                self.stack.push(Item::Guard(Guard {
                    kind: token,
                    line: self.line,
                    indent: self.indent,
                    first: first_on_line,
                    closed: matches!(token, Token::Else | Token::Do),
                    braced: token == Token::Do,
                    empty: false,
                    beside: false,
                }));
                self.at_start = matches!(token, Token::Else | Token::Do);
            }
            Token::Open => self.stack.push(Item::Paren),
            Token::Close => self.close_paren(),
            Token::OpenBrace => {
                self.stack.push(Item::Brace(at_start));
                self.at_start = true;
            }
            Token::CloseBrace => self.close_brace(),
            Token::Semicolon => self.semicolon(starts_body),
            Token::Colon => {
                self.at_start = !matches!(self.stack.last(), Some(Item::Paren | Item::Guard(_)));
            }
            Token::Name => {
                let guard = Guard {
                    kind: Token::Name,
                    line: self.line,
                    indent: self.indent,
                    first: first_on_line,
                    closed: true,
                    braced: false,
                    empty: false,
                    beside: false,
                };
                if at_start {
                    self.call = Some((guard, false));
                    self.call_depth = self.stack.len();
                }
            }
            Token::Other => {}
        }
    }

    /// `EACH(x)` and a statement further to the right in the next line: probably a loop in disguise.
    fn macro_guard(&mut self, token: Token, first_on_line: bool) {
        let Some((guard, closed)) = self.call else {
            return;
        };
        let statement = matches!(token, Token::Name | Token::If | Token::Loop | Token::While);
        if !closed {
            // Only its own parentheses keep it alive.
            if self.stack.len() == self.call_depth && token != Token::Open {
                self.call = None;
            }
            return;
        }
        if token == Token::Semicolon {
            return;
        }
        self.call = None;
        if statement && first_on_line && self.line > guard.line && self.indent > guard.indent {
            self.stack.push(Item::Guard(guard));
            self.at_start = true;
        }
    }

    fn close_paren(&mut self) {
        while let Some(item) = self.stack.last() {
            match item {
                Item::Brace(_) => return,
                Item::Paren => {
                    self.stack.pop();
                    break;
                }
                Item::Guard(_) => {
                    self.stack.pop();
                }
            }
        }
        if let Some(Item::Guard(guard)) = self.stack.last_mut()
            && !guard.closed
        {
            guard.closed = true;
            self.at_start = true;
            self.closed_line = self.line;
        }
        if let Some((_, closed)) = &mut self.call
            && self.stack.len() == self.call_depth
        {
            *closed = true;
        }
    }

    fn close_brace(&mut self) {
        let Some(open) = self
            .stack
            .iter()
            .rposition(|item| matches!(item, Item::Brace(_)))
        else {
            self.stack.clear();
            self.at_start = true;
            return;
        };
        let statement = matches!(self.stack.get(open), Some(Item::Brace(true)));
        self.stack.truncate(open);
        if statement {
            self.end_statement();
        }
        self.at_start =
            statement || !matches!(self.stack.last(), Some(Item::Paren | Item::Guard(_)));
    }

    fn semicolon(&mut self, is_body: bool) {
        if matches!(self.stack.last(), Some(Item::Paren)) {
            return;
        }
        if is_body && let Some(Item::Guard(guard)) = self.stack.last_mut() {
            guard.empty = true;
            guard.beside = self.closed_line == self.line;
        }
        if let Some((guard, true)) = self.call.take()
            && guard.first
            && self.only_empty_bodies
        {
            // A call, unless it is a loop in disguise.
            self.stack.push(Item::Guard(Guard {
                empty: true,
                ..guard
            }));
        }
        self.end_statement();
        self.at_start = true;
    }

    fn end_statement(&mut self) {
        let first = self
            .stack
            .iter()
            .rposition(|item| !matches!(item, Item::Guard(_)))
            .map_or(0, |last| last + 1);
        self.ended.clear();
        for item in self.stack.drain(first..) {
            if let Item::Guard(guard) = item {
                self.ended.push(guard);
            }
        }
        self.ended_line = self.line;
    }

    /// What follows a guarded statement. True if the token has been used up.
    fn settle(&mut self, token: Token, first_on_line: bool) -> bool {
        let mut ended = std::mem::take(&mut self.ended);
        self.suspicious |= self.only_empty_bodies
            && token != Token::Else
            && ended
                .iter()
                .any(|guard| guard.kind == Token::If && guard.beside);
        let wanted = match token {
            Token::CloseBrace => return false,
            Token::Else => Token::If,
            Token::While => Token::Do,
            _ => Token::Other,
        };
        if let Some(position) = ended.iter().rposition(|guard| guard.kind == wanted) {
            let inner = ended.split_off(position);
            self.stack.extend(ended.into_iter().map(Item::Guard));
            if token == Token::While {
                self.judge(&inner, token, first_on_line);
            }
            // The end of a `do` guards nothing.
            self.at_start = false;
            return token == Token::While;
        }
        if token == Token::Else {
            return false;
        }
        self.judge(&ended, token, first_on_line);
        false
    }

    /// Compares guards whose statement has ended with the token behind it.
    fn judge(&mut self, ended: &[Guard], token: Token, first_on_line: bool) {
        for guard in ended.iter().filter(|guard| !guard.braced) {
            let indented = first_on_line && self.indent > guard.indent;
            let follows = guard.first && !first_on_line && self.line == self.ended_line;
            let disguised = guard.kind == Token::Name && guard.empty;
            let follows = follows && !disguised;
            let block = guard.empty && token == Token::OpenBrace && !disguised;
            let same_line_body = guard.line == self.ended_line;
            self.suspicious |= if self.only_empty_bodies {
                guard.empty && (indented || block || (follows && same_line_body))
            } else {
                indented || follows || block
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspicious(only_empty_bodies: bool, text: &str) -> bool {
        let mut layout = Layout::new(only_empty_bodies);
        text.lines().for_each(|line| layout.line(line.as_bytes()));
        layout.is_suspicious()
    }

    #[test]
    fn misleading_indentation() {
        for text in [
            "  if (x)\n    a();\n    b();\n",
            "  if (x)\n\ta();\n\tb();\n",
            "  if (x)\n    a();\n  else\n    b();\n    c();\n",
            "  for (;;)\n    if (x) {\n    }\n    b();\n",
            "  if (x) a(); b();\n",
            "  while (f(x));\n  {b();}\n",
            "  while (x);\n    b();\n",
            "  EACH(x)\n    a();\n    b();\n",
            "  g([&] {\n    if (x)\n      a();\n      b();\n  });\n",
            "  if (x)\n    if (y)\n      a();\n    b();\n",
            "  if (x) {\n  } else\n    a();\n    b();\n",
            "  case 1:\n  if (x)\n    a();\n    b();\n",
            "  do\n    if (x) a(); while (x);\n",
        ] {
            assert!(suspicious(false, text), "{text}");
        }
    }

    #[test]
    fn plain_layout() {
        for text in [
            "  if (x)\n    a();\n  b();\n",
            "  if (x) {\n    a();\n    b();\n  }\n  c();\n",
            "  if (x)\n    a();\n  else if (y)\n    b();\n  else\n    c();\n  d();\n",
            "  do\n    a();\n  while (x);\n  b();\n",
            "  do {\n    a();\n  } while (x);\n  b();\n",
            "  for (i = 0; i < n; i++)\n    s[i] = (T){1,\n      2};\n  b();\n",
            "  while (*p++);\n  b();\n",
            "  if (x)\n    return f(a,\n             b);\n  return 1;\n",
            "  f(a,\n    b);\n  int y =\n    1;\n",
            "  if (x) // if (y)\n    /* ; */ a(\"if (\");\n  b();\n",
            "  s = R\"x(if (x)\n a();\n b();\n)x\";\n  b();\n",
            "  EXPORT(int)\n  f(void);\n  int y;\n",
            "#define F(x) if (x) \\\n  a(); \\\n  b();\n",
            "# 1 \"/usr/include/a.h\" 1 3 4\n  if (x)\n    a();\n    b();\n# 2 \"x.c\" 2\n",
            "  int n = 1'000'000; if (x) {}\n",
            "  case 0: if (x) a(); break;\n",
            "  if (x) {\n  } else a(); b();\n",
            "  switch (x) {\n  case 1: a();\n    break;\n  default:\n    b();\n  }\n",
            "  if (x)\n    for (;;) {\n      a();\n    }\n  b();\n",
            "struct s {\n  int a;\n};\nclass c : d {\n public:\n  c() : e(1) {}\n  int f;\n};\n",
            "}}}))\n  a();\n",
        ] {
            assert!(!suspicious(false, text), "{text}");
        }
    }

    #[test]
    fn empty_bodies() {
        for text in [
            "  if (x);\n  a();\n",
            "  while (x);\n    a();\n",
            "  for (;;);\n  {\n  }\n",
            "  EACH(x);\n    a();\n",
            "  { if (x); }\n",
        ] {
            assert!(suspicious(true, text), "{text}");
        }
        for text in [
            "  if (x)\n    ;\n  a();\n",
            "  while (x);\n  a();\n",
            "  do {} while (x);\n  {}\n",
            "  if (x); else\n    a();\n  b();\n",
            "  a();\n  {\n    b();\n  }\n",
            "  a(); b();\n",
            "  if (x)\n    a();\n    b();\n",
        ] {
            assert!(!suspicious(true, text), "{text}");
        }
    }

    #[test]
    fn any_text_is_survived() {
        use proptest::prelude::*;
        proptest!(|(text in "[-a-z(){}\\[\\];:\"'\\\\/*#R \t\n0-9]{0,200}", only: bool)| {
            suspicious(only, &text);
        });
    }
}
