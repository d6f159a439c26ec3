template <class T> struct holder { T value; };
__attribute__((objc_root_class))
@interface Calc
- (int)add:(int)value;
@end
@implementation Calc
- (int)add:(int)value { holder<int> h{value}; return h.value + 1; }
@end
