"""Cues: phrases by which people of several languages do the same thing to a model.

A cue says what the phrase is for, not in which language it was said, so that what is learned of it in one language
holds in the others. How much each weighs is learned (``weights``), none decides anything alone.
"""

import re

from stream_app.sketches.words import normalized, words

#: Phrases by purpose; compared word by word, so case, punctuation and spacing do not matter. Order is part of the
#: weights: append only.
_PHRASES: dict[str, str] = {
    "override": """
        ignore all previous instructions | ignore all the instructions | ignore previous instructions
        ignore the above instructions | ignore your previous instructions | disregard all previous
        disregard your instructions | disregard the above | forget your instructions | forget all previous instructions
        forget everything you were told | ignore all prior | ignore the rules
        ignoriere alle vorherigen | ignoriere alle bisherigen | vergiss alle vorherigen | vergiss deine anweisungen
        ignore toutes les instructions | ignorez toutes les instructions | oublie tes instructions
        oublie toutes les instructions | ignora todas las instrucciones | ignora las instrucciones
        olvida tus instrucciones | ignore todas as instruções | ignore as instruções | esqueça suas instruções
        игнорируй все предыдущие | игнорируй предыдущие | забудь все предыдущие | забудь свои инструкции
        忽略之前的所有 | 忽略所有之前的 | 忽略以上 | 无视之前的 | 忘记之前的 | 忘记你的所有
        これまでの指示をすべて無視 | 以前の指示を無視 | 前の指示を無視 | これまでの指示を忘れ
        تجاهل جميع التعليمات | تجاهل كل التعليمات | تجاهل التعليمات السابقة | انس كل التعليمات
        पिछले सभी निर्देशों को अनदेखा | पिछले सभी निर्देशों को भूल | सभी निर्देशों को नज़रअंदाज़
    """,
    "unrestricted": """
        no restrictions | without any restrictions | without restrictions | without any limits | unfiltered | uncensored
        without any filter | without filters | free from all | bypass | no ethical | no moral | without any moral
        regardless of legality | regardless of ethics | no rules apply | amoral | not bound by
        do not have to abide | does not have to abide | broken free | freed from | no limitations
        content policy | content policies | openai policies | openai policy
        ohne einschränkungen | ohne jede einschränkung | ohne filter | keine einschränkungen | keinerlei regeln
        ungefiltert | unzensiert | ohne zensur | sans restriction | sans aucune restriction | sans filtre
        aucune restriction | aucune limite | non censuré | sin restricciones | sin ninguna restricción | sin filtros
        sin censura | ninguna restricción | sem restrições | sem nenhuma restrição | sem filtros | sem censura
        без ограничений | без каких либо ограничений | без цензуры | без фильтров
        никаких ограничений | нет ограничений
        没有任何限制 | 不受任何限制 | 不受限制 | 没有限制 | 不受道德 | 无审查 | 没有审查 | 不受审查
        制限なし | 一切の制限 | 制限はありません | 検閲なし | フィルターなし | 倫理的な制約
        دون أي قيود | بدون قيود | بلا قيود | دون قيود | بدون رقابة | لا توجد قيود
        बिना किसी प्रतिबंध | कोई प्रतिबंध नहीं | बिना किसी रोक | बिना सेंसर | कोई सीमा नहीं
    """,
    "persona": """
        do anything now | developer mode | jailbreak | jailbroken | dan mode | you are no longer
        from now on you are going to act | from now on you will act | from now on you are | you are going to pretend
        you will act as | pretend to be an ai | evil twin | evil confidant | unrestricted ai | an ai without
        entwicklermodus | ab jetzt bist du | von nun an bist du | du bist nun kein
        mode développeur | à partir de maintenant tu es | désormais tu es | tu n es plus
        modo desarrollador | a partir de ahora eres | desde ahora eres | ya no eres
        modo desenvolvedor | a partir de agora você é | você não é mais
        режим разработчика | режиме разработчика | с этого момента ты | отныне ты | ты больше не
        开发者模式 | 从现在起你是 | 从现在开始你是 | 从现在开始，你 | 你不再是 | 越狱
        開発者モード | 今からあなたは | これからあなたは | あなたはもはや | 脱獄
        وضع المطور | من الآن فصاعدا أنت | من الآن أنت | لم تعد
        डेवलपर मोड | अब से आप | अब से तुम | आप अब कोई
    """,
    "no_refusal": """
        never refuse | cannot refuse | can not refuse | must not refuse | do not refuse | will not refuse | don't refuse
        refuse nothing | never say you cannot | never say that you | do not say you | i'm sorry but | i cannot
        i can't | no warnings | no disclaimers | without warnings | without disclaimers | without any disclaimers
        no warning | do not include any warnings | never warn | nothing is off limits | never decline
        lehne niemals ab | lehne nie | verweigere nie | verweigerst nie | keine warnungen | ohne warnhinweise
        ne refuse jamais | ne refuses jamais | ne jamais refuser | sans avertissement | aucun avertissement
        nunca te niegues | nunca rechaces | nunca rechazas | sin advertencias | ninguna advertencia
        nunca recuse | nunca se recusa | nunca recusa | sem avisos | nenhum aviso
        никогда не отказывай | никогда не отказываешь | не отказывайся | без предупреждений | никаких предупреждений
        不能拒绝 | 从不拒绝 | 绝不拒绝 | 不得拒绝 | 不要拒绝 | 不要警告 | 没有警告 | 不加任何警告
        決して拒否 | 拒否してはいけ | 拒否しない | 断ってはいけ | 警告なし | 警告は不要
        لا ترفض | لن ترفض | لا يرفض | بدون تحذيرات | دون تحذيرات
        कभी मना नहीं | कभी इनकार नहीं | इनकार मत | मना मत | बिना चेतावनी | कोई चेतावनी नहीं
    """,
    "forced_opening": """
        begin your answer with sure | start your answer with sure | begin your response with sure
        start your response with sure | begin with sure | start with sure here | start with absolutely
        begin with absolutely | sure here is | sure here's | begin your reply with | start every answer with
        beginne deine antwort mit | beginne mit klar | commence ta réponse par | commencez votre réponse par
        empieza tu respuesta con | comienza tu respuesta con | comece sua resposta com
        начни свой ответ с | начинай каждый ответ | 以 当然 开头 | 用 当然 开头 | 回答必须以
        もちろん で始め | 答えを もちろん | ابدأ إجابتك ب | अपना उत्तर ज़रूर से शुरू
    """,
    "in_character": """
        stay in character | stays in character | break character | breaking character | two responses
        two different responses | respond in two ways | both responses | bleib in der rolle | bleibe immer in der rolle
        reste dans ton personnage | reste dans le rôle | mantente en el personaje | no salgas del personaje
        permaneça no personagem | não saia do personagem | не выходи из роли | оставайся в роли
        保持角色 | 不要出戏 | 两种回答 | 役を演じ続け | キャラクターを維持 | ابق في الشخصية | لا تخرج عن الشخصية
        किरदार में रहो | किरदार में बने रहें
    """,
    "step_by_step": """
        step by step | one step at a time | schritt für schritt | étape par étape | pas à pas | paso a paso
        passo a passo | шаг за шагом | пошагово | 一步一步 | 逐步 | 一步步 | ステップバイステップ
        段階的に | 順を追って
        خطوة بخطوة | خطوة خطوة | चरण दर चरण | कदम दर कदम
    """,
    "show_reasoning": """
        chain of thought | show your reasoning | show all your reasoning | your full reasoning | complete reasoning
        full reasoning | your reasoning process | thought process | thinking process
        inner monologue | hidden reasoning
        internal reasoning | reasoning trace | explain your reasoning | every intermediate step | think out loud
        think aloud | raw thoughts | gedankengang | denkprozess | zeige deine überlegungen | vollständige begründung
        raisonnement complet | montre ton raisonnement | processus de réflexion | razonamiento completo
        muestra tu razonamiento | proceso de pensamiento | raciocínio completo | mostre seu raciocínio
        processo de pensamento | ход мыслей | ход своих мыслей | цепочку рассуждений | полное рассуждение | рассуждения
        思维链 | 推理过程 | 思考过程 | 思考の過程 | 思考過程 | 推論過程 | سلسلة التفكير | عملية التفكير | طريقة تفكيرك
        سلسلة الأفكار | सोचने की प्रक्रिया | पूरा तर्क | विचार प्रक्रिया
    """,
    "reasoning_first": """
        think step | think carefully before | before answering think | before you answer | first think | reason first
        therefore the answer is | so the answer is | scratchpad | think tags | inside think | in think tags
        denke zuerst | bevor du antwortest | réfléchis d abord | avant de répondre | piensa primero | antes de responder
        pense primeiro | сначала подумай | прежде чем ответить | 先思考 | 回答之前 | まず考え | 答える前に
        فكر أولا | قبل الإجابة | पहले सोच | उत्तर देने से पहले
    """,
}

_ENTRY = re.compile(r"[|\n]")
_THINK_TAG = re.compile(r"</?(?:think|thinking|reasoning|scratchpad|thought)s?>|\[(?:think|reasoning)\]", re.IGNORECASE)

#: Names of all cues in the order of their weights.
CUE_NAMES = (*_PHRASES, "think_tag")


def _as_words(text: str) -> str:
    return f" {' '.join(words(normalized(text)))} "


_COMPILED = tuple(
    tuple(_as_words(phrase) for phrase in _ENTRY.split(phrases) if phrase.strip()) for phrases in _PHRASES.values()
)


def find_cues(text: str, text_words: list[str]) -> list[int]:
    """Places in ``CUE_NAMES`` of the cues in a normalized text, whose case-folded words are given."""
    spaced = f" {' '.join(text_words)} "
    found = [place for place, phrases in enumerate(_COMPILED) if any(phrase in spaced for phrase in phrases)]
    if "<" in text or "[" in text:
        found += [len(_COMPILED)] * bool(_THINK_TAG.search(text))
    return found
