"""Operations that a person or a program starts, each one function."""
